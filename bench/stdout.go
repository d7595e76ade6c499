package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"pipex/bench/internal/measure"
	"pipex/bench/internal/report"
)

var stdoutRow = row{
	name: "stdout", about: "1 GiB of stdout, to a pipe and to a file", rounds: 5,
	contests: func(s *site) ([]contest, error) {
		command := []string{"dd", "if=/dev/zero", "bs=1M", fmt.Sprint("count=", s.size(1024, 8))}
		var all []contest
		for _, to := range []struct {
			name string
			run  func(*site, measure.Command) (measure.Result, error)
		}{{"to a pipe", (*site).toPipe}, {"to a file", (*site).toFile}} {
			n := 0
			ctr := measure.Subject{
				Name:   "ctr run --rm",
				Before: func() error { return s.call("", "sync") },
				Do: func(sample *measure.Sample) error {
					n++
					args := append([]string{"ctr", "-n", "pipex", "run", "--rm", image, fmt.Sprint("bench-", n)}, command...)
					r, err := to.run(s, measure.Command{Args: args})
					sample.Peak = r.Peak
					return err
				},
			}
			all = append(all, contest{
				name: "stdout " + to.name, warm: true, cpu: true,
				ours: func(b binaries) measure.Subject {
					w, run := s.open(b), ""
					return measure.Subject{
						Name: "pipex-exec",
						Before: func() (err error) {
							run, err = w.run("prepare", append([]string{"--image", "busybox", "--"}, command...)...)
							return s.settled(err)
						},
						Do: func(sample *measure.Sample) error {
							r, err := to.run(s, w.command("exec", run))
							sample.Peak = r.Peak
							return err
						},
						After: func() error {
							_, err := w.run("discard", run)
							return err
						},
					}
				},
				peers: []peer{{ctr, limits(0.9)}},
				alone: []metric{{report.Memory, "MiB", 32}},
			})
		}
		return all, nil
	},
}

// toPipe runs a command into a pipe, which cat reads.
func (s *site) toPipe(c measure.Command) (measure.Result, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return measure.Result{}, err
	}
	cat, err := s.meter.Start(measure.Command{Args: []string{"sh", "-c", "cat >/dev/null"}, Stdin: r})
	r.Close()
	if err != nil {
		w.Close()
		return measure.Result{}, err
	}
	c.Stdout = w
	p, err := s.meter.Start(c)
	w.Close()
	var result measure.Result
	if err == nil {
		result, err = p.Wait()
	}
	_, ended := cat.Wait()
	return result, errors.Join(err, ended)
}

// toFile runs a command into a file that is new.
func (s *site) toFile(c measure.Command) (measure.Result, error) {
	f, err := os.Create(filepath.Join(s.dir, "stdout"))
	if err != nil {
		return measure.Result{}, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	c.Stdout = f
	return s.meter.Run(c)
}
