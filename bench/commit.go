package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"pipex/bench/internal/measure"
)

var commitRow = row{
	name: "commit", about: "commit of 100,000 files, and of one file of 4 GiB", rounds: 5,
	contests: func(s *site) ([]contest, error) {
		large, err := s.large()
		if err != nil {
			return nil, err
		}
		return []contest{s.many(), large}, nil
	},
}

// many is commit of many files, which have just been written, and of which git add has a
// copy.
func (s *site) many() contest {
	n := s.size(100_000, 300)
	dir, git := filepath.Join(s.dir, "many"), filepath.Join(s.dir, "many.git")
	write := func() error {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
		return s.settled(files(dir, n))
	}
	remove := func() error { return s.call("", "rm", "-rf", dir, git) }
	c := contest{
		name: "commit of many files",
		ours: func(b binaries) measure.Subject {
			w, run := s.open(b), ""
			return measure.Subject{
				Name: "pipex-commit",
				Before: func() (err error) {
					if run, err = w.run("prepare"); err != nil {
						return err
					}
					return s.settled(files(w.artifacts(run), n))
				},
				Do: func(*measure.Sample) error {
					_, err := w.run("commit", run)
					return err
				},
				After: w.prune,
			}
		},
		peers: []peer{{Subject: measure.Subject{
			Name:   "xargs -P sha256sum",
			Before: write,
			Do: func(*measure.Sample) error {
				return s.call(dir, "sh", "-c", fmt.Sprintf("find . -type f -print0 | xargs -0 -n 1000 -P %d sha256sum >../sums", runtime.NumCPU()))
			},
			After: remove,
		}}},
	}
	if s.has("git") {
		c.peers = append(c.peers, peer{measure.Subject{
			Name: "git add -A",
			Before: func() error {
				if err := write(); err != nil {
					return err
				}
				return s.call(dir, "git", "--git-dir", git, "init", "-q")
			},
			Do: func(*measure.Sample) error {
				return s.call(dir, "git", "--git-dir", git, "--work-tree", dir, "add", "-A")
			},
			After: remove,
		}, limits(0.2)})
	}
	return c
}

// settled lets the disk come to rest, so that no subject pays for what was written for it
// before, or for another one.
func (s *site) settled(err error) error {
	if err != nil {
		return err
	}
	return s.call("", "sync")
}

// large is commit of one file. All subjects read the same one, from memory where that is
// large enough: it moves into a run and back.
func (s *site) large() (contest, error) {
	file := filepath.Join(s.dir, "large")
	mib := s.size(4096, 16)
	if err := s.settled(s.call("", "sh", "-c", fmt.Sprintf("openssl enc -aes-128-ctr -K 0 -iv 0 -in /dev/zero 2>/dev/null | head -c %dM >%s", mib, file))); err != nil {
		return contest{}, err
	}
	hash := func(name string, args ...string) measure.Subject {
		return measure.Subject{Name: name, Do: func(*measure.Sample) error { return s.call("", append(args, file)...) }}
	}
	c := contest{
		name: "commit of one large file", warm: true,
		ours: func(b binaries) measure.Subject {
			w, run := s.open(b), ""
			return measure.Subject{
				Name: "pipex-commit",
				Before: func() (err error) {
					if run, err = w.run("prepare"); err != nil {
						return err
					}
					return s.settled(os.Rename(file, filepath.Join(w.artifacts(run), "large")))
				},
				Do: func(*measure.Sample) error {
					_, err := w.run("commit", run)
					return err
				},
				After: func() error {
					if err := os.Rename(filepath.Join(w.path, "default", "runs", run, "artifacts", "large"), file); err != nil {
						return err
					}
					return w.prune()
				},
			}
		},
		peers: []peer{{Subject: hash("sha256sum", "sha256sum")}},
	}
	if s.has("openssl") {
		c.peers = append(c.peers, peer{hash("openssl dgst -sha256", "openssl", "dgst", "-sha256"), limits(1.1)})
	}
	return c, nil
}
