package main

import (
	"fmt"
	"os"
	"path/filepath"

	"pipex/bench/internal/measure"
)

var writeRow = row{
	name: "write", about: "a step that writes 300 MiB, synced", rounds: 10,
	contests: func(s *site) ([]contest, error) {
		dir, err := s.temporary("written")
		if err != nil {
			return nil, err
		}
		command := []string{"dd", "if=/dev/zero", "of=/output/f", "bs=1M", fmt.Sprint("count=", s.size(300, 3))}
		file, n := filepath.Join(dir, "f"), 0
		ctr := measure.Subject{
			Name:   "ctr run --rm, then sync",
			Before: func() error { return s.call("", "sync") },
			Do: func(*measure.Sample) error {
				n++
				args := []string{"ctr", "-n", "pipex", "run", "--rm", "--mount", "type=bind,src=" + dir + ",dst=/output,options=rbind:rw", image, fmt.Sprint("bench-", n)}
				if err := s.call("", append(args, command...)...); err != nil {
					return err
				}
				return s.call("", "sync", file, dir)
			},
			After: func() error { return os.Remove(file) },
		}
		return []contest{{
			name: "write", warm: true,
			ours: func(b binaries) measure.Subject {
				w := s.open(b)
				return measure.Subject{
					Name:   "pipex: four verbs",
					Before: func() error { return s.call("", "sync") },
					Do: func(*measure.Sample) error {
						return w.step("bench", append([]string{"--image", "busybox", "--"}, command...)...)
					},
					After: w.prune,
				}
			},
			peers: []peer{{ctr, limits(1)}},
		}}, nil
	},
}
