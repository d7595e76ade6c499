package main

import (
	"fmt"
	"os"
	"path/filepath"

	"pipex/bench/crowd"
	"pipex/bench/internal/measure"
	"pipex/lib/workspace"
)

var pruneRow = row{
	name: "prune", about: "prune of 10,000 runs of 20 files", rounds: 3,
	contests: func(s *site) ([]contest, error) {
		c := contest{name: "prune", cpu: true}
		turns := map[binaries][]*workdir{}
		// All runs are made before any are removed; see many.
		for _, b := range []binaries{s.bin, binaries(s.with), "rm"} {
			if b == "" {
				continue
			}
			for range s.turns(3) {
				w := s.open(b)
				if err := w.runs(); err != nil {
					return nil, err
				}
				turns[b] = append(turns[b], w)
			}
		}
		next := func(b binaries) (w *workdir) {
			w, turns[b] = turns[b][0], turns[b][1:]
			return w
		}
		c.ours = func(b binaries) measure.Subject {
			var w *workdir
			return measure.Subject{
				Name: "pipex-prune",
				Before: func() error {
					w = next(b)
					return nil
				},
				Do: func(*measure.Sample) error { return w.prune() },
				After: func() error {
					left, err := os.ReadDir(filepath.Join(w.path, "default", "runs"))
					if err == nil && len(left) != 1 {
						err = fmt.Errorf("prune has left %d runs", len(left))
					}
					return err
				},
			}
		}
		c.peers = []peer{{measure.Subject{
			Name: "rm -rf",
			Do: func(*measure.Sample) error {
				return s.call("", "rm", "-rf", filepath.Join(next("rm").path, "default", "runs"))
			},
		}, limits(0.7)}}
		return []contest{c}, nil
	},
}

// runs makes 10,000 runs of 20 files each: record, manifest, two logs and 16 artifacts. One of
// them is linked. Records are what prune must read; other files have nothing in them that it
// looks at.
func (w *workdir) runs() error {
	root := filepath.Join(w.path, "default")
	ws, err := crowded(root, w.size(10_000, 100), 1)
	if err != nil {
		return err
	}
	found, err := ws.Runs()
	if err != nil {
		return err
	}
	for _, run := range found {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		for i := range 15 {
			if err := os.WriteFile(filepath.Join(run.Artifacts(), fmt.Sprint("f", i)), []byte("an artifact\n"), 0o444); err != nil {
				return err
			}
		}
	}
	return w.settled(nil)
}

// crowded makes a workspace with many runs.
func crowded(root string, runs, steps int) (*workspace.Workspace, error) {
	ws, err := workspace.Create(filepath.Dir(root), filepath.Base(root))
	if err != nil {
		return nil, err
	}
	return ws, crowd.Fill(ws, runs, steps)
}
