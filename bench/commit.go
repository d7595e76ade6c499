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
		large, err := s.large("commit of one large file", s.size(4096, 16))
		return []contest{
			s.many("commit of many files", s.settled, limits(0.2)), large,
			s.many("commit of many new files", same, nil), s.written("commit of one new file", s.size(1024, 16)),
		}, err
	},
}

// many is commit of many files, of which git add has a copy. ready is called when they have
// been written.
func (s *site) many(name string, ready func(error) error, git map[string]float64) contest {
	n := s.size(100_000, 300)
	dir, repository := filepath.Join(s.dir, "many"), filepath.Join(s.dir, "many.git")
	write := func() error {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
		return ready(s.files(dir, n))
	}
	remove := func() error { return s.settled(s.call("", "rm", "-rf", dir, repository)) }
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
				Do:    func(*measure.Sample) error { return w.verb("commit", run) },
				After: func() error { return s.settled(w.prune()) },
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
				return s.call(dir, "git", "--git-dir", repository, "init", "-q")
			},
			Do: func(*measure.Sample) error {
				return s.call(dir, "git", "--git-dir", repository, "--work-tree", dir, "add", "-A")
			},
			After: remove,
		}, git})
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
	hash := func(name string, args ...string) measure.Subject {
		return measure.Subject{Name: name, Do: func(*measure.Sample) error { return s.call("", append(args, file)...) }}
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
		peers: []peer{{Subject: hash("sha256sum", "sha256sum")}},
	}
	if s.has("openssl") {
		c.peers = append(c.peers, peer{hash("openssl dgst -sha256", "openssl", "dgst", "-sha256"), limits(1.1)})
	}
	return c, nil
}

// written is commit of one file that has just been written, and is not on the disk.
func (s *site) written(name string, mib int) contest {
	file := filepath.Join(s.dir, "written")
	return contest{
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
		peers: []peer{{Subject: measure.Subject{
			Name:   "sha256sum, then sync",
			Before: func() error { return s.noise(file, mib) },
			Do:     func(*measure.Sample) error { return s.call("", "sh", "-c", "sha256sum "+file+" && sync "+file) },
			After:  func() error { return s.settled(os.Remove(file)) },
		}}},
	}
}
