package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"pipex/bench/internal/measure"
)

var commitRow = row{
	name: "commit", about: "commit of 100,000 files, and of one file of 4 GiB", rounds: 3,
	contests: func(s *site) ([]contest, error) {
		large, err := s.large("commit of one large file", s.size(4096, 16))
		return []contest{
			s.many("commit of many files", s.settled, limits(0.2)), large,
			s.many("commit of many new files", same, nil), s.written("commit of one new file", s.size(1024, 16)),
		}, err
	},
}

// many is commit of many files, and git add of as many. ready is called when they have been
// written.
//
// Nothing is removed before the end: ext4 passes over inodes that were removed in the last
// minutes one by one, so who makes files then would pay for who has removed some.
func (s *site) many(name string, ready func(error) error, limit map[string]float64) contest {
	n, turn := s.size(100_000, 300), 0
	dir := filepath.Join(s.dir, "files of "+name)
	write := func() error { return ready(s.files(dir, n)) }
	c := contest{
		name: name,
		ours: func(b binaries) measure.Subject {
			w, run := s.open(b), ""
			return measure.Subject{
				Name: "pipex-commit",
				Before: func() (err error) {
					if run, err = w.run("prepare"); err != nil {
						return err
					}
					return ready(s.files(w.artifacts(run), n))
				},
				Do: func(*measure.Sample) error { return w.verb("commit", run) },
			}
		},
	}
	if s.has("git") {
		git := func(args ...string) error {
			return s.call(dir, append([]string{"git", "--git-dir", fmt.Sprint(dir, ".git", turn), "--work-tree", dir}, args...)...)
		}
		c.peers = append(c.peers, peer{measure.Subject{
			Name: "git add -A",
			Before: func() error {
				turn++
				return errors.Join(write(), git("init", "-q"))
			},
			Do: func(*measure.Sample) error { return git("add", "-A") },
		}, limit})
	}
	if limit != nil { // a hasher does not write, so it is no peer where files are new
		c.peers = append(c.peers, peer{Subject: measure.Subject{
			Name:   "xargs -P sha256sum",
			Before: write,
			Do: func(*measure.Sample) error {
				return s.call(dir, "sh", "-c", fmt.Sprintf("find . -type f -print0 | xargs -0 -n 1000 -P %d sha256sum >../sums", runtime.NumCPU()))
			},
		}})
	}
	return c
}

func same(err error) error { return err }

// settled lets the disk come to rest, so that no subject pays for what was written for it
// before, or for another one.
func (s *site) settled(err error) error {
	if err != nil {
		return err
	}
	return s.call("", "sync")
}

// noise writes a file that no file system can store in less.
func (s *site) noise(file string, mib int) error {
	return s.call("", "dd", "if=/dev/urandom", "of="+file, "bs=1M", fmt.Sprint("count=", mib), "status=none")
}

// large is commit of one file that is on the disk. All subjects read the same one, from memory
// where that is large enough: it moves into a run and back.
func (s *site) large(name string, mib int) (contest, error) {
	file := filepath.Join(s.dir, "large")
	if err := s.settled(s.noise(file, mib)); err != nil {
		return contest{}, err
	}
	c := contest{
		name: name, warm: true,
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
				Do: func(*measure.Sample) error { return w.verb("commit", run) },
				After: func() error {
					if err := os.Rename(filepath.Join(w.path, "default", "runs", run, "artifacts", "large"), file); err != nil {
						return err
					}
					return w.prune()
				},
			}
		},
	}
	if s.has("openssl") {
		c.peers = []peer{{measure.Subject{
			Name: "openssl dgst -sha256",
			Do:   func(*measure.Sample) error { return s.call("", "openssl", "dgst", "-sha256", file) },
		}, limits(1.1)}}
	}
	return c, nil
}

// written is commit of one file that has just been written, and is not on the disk.
func (s *site) written(name string, mib int) contest {
	file := filepath.Join(s.dir, "written")
	c := contest{
		name: name,
		ours: func(b binaries) measure.Subject {
			w, run := s.open(b), ""
			return measure.Subject{
				Name: "pipex-commit",
				Before: func() (err error) {
					if run, err = w.run("prepare"); err != nil {
						return err
					}
					return s.noise(filepath.Join(w.artifacts(run), "written"), mib)
				},
				Do:    func(*measure.Sample) error { return w.verb("commit", run) },
				After: func() error { return s.settled(w.prune()) },
			}
		},
	}
	if s.has("openssl") {
		c.peers = []peer{{Subject: measure.Subject{
			Name:   "openssl dgst, then sync",
			Before: func() error { return s.noise(file, mib) },
			Do: func(*measure.Sample) error {
				if err := s.call("", "openssl", "dgst", "-sha256", file); err != nil {
					return err
				}
				return s.call("", "sync", file)
			},
			After: func() error { return s.settled(os.Remove(file)) },
		}}}
	}
	return c
}
