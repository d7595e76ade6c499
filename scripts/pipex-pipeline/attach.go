package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"pipex/lib/cli"
	"pipex/lib/pipeline"
)

// attachPause is how often the events of a pipeline in the background are looked at.
const attachPause = 100 * time.Millisecond

// attach shows a pipeline in the background from its beginning to its end, and returns its
// exit status.
func attach(c *cli.Call) (int, error) {
	detached, err := detachedOf(c)
	if err != nil {
		return 0, err
	}
	view := pipeline.View{Err: os.Stderr, Failures: c.Bool("quiet")}
	if c.Bool("json") {
		view.Out = os.Stdout
	}
	status, ended := 0, false
	events := stream{path: detached.Events(), whole: true}
	for !ended {
		live, _, err := detached.Live() // before its events are read: what is not live writes no more
		if err != nil {
			return 0, err
		}
		events.lines(false, func(line string) {
			var e pipeline.Event
			if json.Unmarshal([]byte(line), &e) == nil && !ended {
				view.Show(e)
				status, ended = e.Last()
			}
		})
		if !live {
			break
		}
		select {
		case <-c.Context.Context.Done():
			c.Say("pipeline %s goes on; pipex-run --attach %s shows it, --stop %s ends it", detached.ID, detached.ID, detached.ID)
			return 0, c.Context.Context.Err()
		case <-time.After(attachPause):
		}
	}
	showErrors(detached.Errors())
	if !ended {
		return 0, fmt.Errorf("pipeline %q has not ended by itself: its process was killed, or its machine went down", detached.ID)
	}
	return status, nil
}

// maxErrors is how much is shown of what the process of a pipeline wrote to stderr.
const maxErrors = 64 << 10

func showErrors(path string) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		defer f.Close()
		_, err = io.Copy(os.Stderr, io.LimitReader(f, maxErrors))
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: warning: cannot show its errors: %v\n", program(), err)
	}
}
