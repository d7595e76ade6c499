package main

import (
	"fmt"

	"pipex/bench/internal/measure"
	"pipex/bench/internal/report"
)

var stepRow = row{
	name: "step", about: "a whole step: prepare, exec true, commit, link", rounds: 40,
	contests: func(s *site) ([]contest, error) {
		peers, err := s.containers(1, 0.9)
		return []contest{{
			name: "step", warm: true, cpu: true, peers: peers, alone: []metric{{background, "ms", none}},
			ours: func(b binaries) measure.Subject {
				w := s.open(b)
				return measure.Subject{
					Name: "pipex: four verbs",
					Do: func(*measure.Sample) error {
						return w.step("bench", "--image", "busybox", "--", "true")
					},
				}
			},
		}}, err
	},
}

var execRow = row{
	name: "exec", about: "exec true of a prepared run", rounds: 40,
	contests: func(s *site) ([]contest, error) {
		peers, err := s.containers(0.7, none)
		return []contest{{
			name: "exec", warm: true, cpu: true, peers: peers, alone: []metric{{background, "ms", none}},
			ours: func(b binaries) measure.Subject {
				w, run := s.open(b), ""
				return measure.Subject{
					Name: "pipex-exec",
					Before: func() (err error) {
						run, err = w.run("prepare", "--image", "busybox", "--", "true")
						return err
					},
					Do: func(*measure.Sample) error {
						_, err := w.run("exec", run)
						return err
					},
					After: func() error {
						_, err := w.run("discard", run)
						return err
					},
				}
			},
		}}, err
	},
}

// containers are other programs that run true in a container of the same image, with the
// limits for ctr, and for ctr with seccomp.
func (s *site) containers(ctr, seccomp float64) ([]peer, error) {
	peers := []peer{
		{s.ctr("ctr run --rm"), limits(ctr)},
		{s.ctr("ctr run --rm --seccomp", "--seccomp"), limits(seccomp)},
	}
	bundle, err := s.bundle()
	if err != nil {
		return nil, err
	}
	n := 0
	peers = append(peers, peer{Subject: measure.Subject{
		Name: "runc run",
		Do: func(*measure.Sample) error {
			n++
			return s.call("", "runc", "run", "-b", bundle, fmt.Sprint("pipex-bench-", n))
		},
	}})
	engines, err := s.engines()
	return append(peers, engines...), err
}

// ctr runs true with ctr, in the namespace that has the image.
func (s *site) ctr(name string, flags ...string) measure.Subject {
	n := 0
	return measure.Subject{
		Name: name,
		Do: func(*measure.Sample) error {
			n++
			args := append([]string{"ctr", "-n", "pipex", "run", "--rm"}, flags...)
			return s.call("", append(args, image, fmt.Sprint("bench-", n), "true")...)
		},
	}
}

// image is what ctr calls the image that pipex-image makes.
const image = "busybox:latest"

// limits are the limits of a peer that is compared by time alone.
func limits(limit float64) map[string]float64 { return map[string]float64{report.Time: limit} }
