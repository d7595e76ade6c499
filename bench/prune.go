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
	name: "prune", about: "prune of 10,000 runs of 20 files", rounds: 4,
	contests: func(s *site) ([]contest, error) {
		other := s.open(s.bin)
		rm := measure.Subject{
			Name:   "rm -rf",
			Before: func() error { return other.runs() },
			Do: func(*measure.Sample) error {
				return s.call("", "rm", "-rf", filepath.Join(other.path, "default", "runs"))
			},
			After: other.empty,
		}
		return []contest{{
			name: "prune", cpu: true,
			ours: func(b binaries) measure.Subject {
				w := s.open(b)
				return measure.Subject{
					Name:   "pipex-prune",
					Before: func() error { return w.runs() },
					Do:     func(*measure.Sample) error { return w.prune() },
					After: func() error {
						left, err := os.ReadDir(filepath.Join(w.path, "default", "runs"))
						if err == nil && len(left) > 1 {
							err = fmt.Errorf("prune has left %d runs", len(left))
						}
						if err != nil {
							return err
						}
						return w.empty()
					},
				}
			},
			peers: []peer{{rm, limits(0.7)}},
		}}, nil
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

func (w *workdir) empty() error { return w.call("", "rm", "-rf", filepath.Join(w.path, "default")) }

// crowded makes a workspace with many runs.
func crowded(root string, runs, steps int) (*workspace.Workspace, error) {
	ws, err := workspace.Create(filepath.Dir(root), filepath.Base(root))
	if err != nil {
		return nil, err
	}
	return ws, crowd.Fill(ws, runs, steps)
}
