package main

import (
	"time"

	"pipex/lib/cli"
	"pipex/lib/progress"
	"pipex/lib/pull"
	"pipex/lib/status"
)

// pulling returns a function that takes note of the progress of a pull, and says when it is done.
func pulling(c *cli.Call) func(pull.Progress) {
	var work *progress.Work
	began := time.Now()
	return func(p pull.Progress) {
		if work == nil {
			work = progress.Begin("pulling "+p.Ref, "layer")
		}
		work.Of(int64(p.Layers), p.Total)
		work.Set(int64(p.LayersDone), p.Bytes)
		if !p.Done {
			return
		}
		work.End()
		work = nil
		if !p.Failed {
			c.Say("pulled %s: %s, %s, in %s", p.Ref, status.Count(p.Layers, "layer"), status.Bytes(p.Total), time.Since(began).Round(100*time.Millisecond))
		}
	}
}
