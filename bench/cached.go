package main

import (
	"errors"
	"os"
	"path/filepath"

	"pipex/bench/internal/measure"
)

var cachedRow = row{
	name: "cached", about: "prepare --cached, up to date, with 100,000 mounted files", rounds: 20,
	contests: func(s *site) ([]contest, error) {
		n := s.size(100_000, 300)
		tree, git := filepath.Join(s.dir, "tree"), filepath.Join(s.dir, "tree.git")
		if err := os.Mkdir(tree, 0o777); err != nil {
			return nil, err
		}
		if err := s.settled(s.files(tree, n)); err != nil {
			return nil, err
		}
		c := contest{
			name: "prepare --cached", warm: true,
			ours: func(b binaries) measure.Subject {
				w := s.open(b)
				args := []string{"--step", "bench", "--image", "busybox", "--mount", tree + ":/src", "--", "true"}
				made := false
				return measure.Subject{
					Name: "pipex-prepare --cached",
					Before: func() error {
						if made {
							return nil
						}
						made = true
						return w.step("bench", args[2:]...)
					},
					Do: func(*measure.Sample) error { return w.cached(args...) },
				}
			},
		}
		if !s.has("git") {
			return []contest{c}, nil
		}
		status := func(args ...string) error {
			// A repository that is packed in the background is no quiet peer.
			return s.call(tree, append([]string{"git", "--git-dir", git, "--work-tree", tree, "-c", "gc.auto=0", "-c", "maintenance.auto=false"}, args...)...)
		}
		err := errors.Join(status("init", "-q"), status("add", "-A"),
			status("-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "-q", "-m", "tree"), status("status"))
		c.peers = []peer{{measure.Subject{
			Name: "git status",
			Do:   func(*measure.Sample) error { return status("status") },
		}, limits(0.8)}}
		return []contest{c}, err
	},
}

// cached has prepare find a run that there is.
func (w *workdir) cached(args ...string) error {
	_, err := w.run("prepare", append([]string{"--cached"}, args...)...)
	var failure *measure.Failure
	if errors.As(err, &failure) && failure.Status.ExitStatus() == 3 {
		return nil
	}
	if err == nil {
		err = errors.New("pipex-prepare --cached made a run: nothing was up to date")
	}
	return err
}
