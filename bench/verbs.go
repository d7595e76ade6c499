package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"pipex/bench/internal/measure"
)

// workdir is a workdir of the binaries' own: what another build has left there does not
// matter.
type workdir struct {
	*site
	bin  binaries
	path string
}

// open makes a workdir for these binaries. A path that cannot be made shows in the first
// command.
func (s *site) open(b binaries) *workdir {
	path, err := s.temporary("workdir")
	if err != nil {
		path = filepath.Join(s.dir, "workdir")
	}
	return &workdir{s, b, path}
}

func (w *workdir) command(verb string, args ...string) measure.Command {
	return measure.Command{
		Args: append([]string{w.bin.verb(verb)}, args...),
		Env:  []string{w.bin.path(), "PIPEX_WORKDIR=" + w.path},
		Dir:  w.dir,
	}
}

// run runs a verb and returns what it prints.
func (w *workdir) run(verb string, args ...string) (string, error) {
	r, err := w.meter.Run(w.command(verb, args...))
	return r.Out, err
}

// step runs a whole step by four verbs: prepare, exec, commit and link.
func (w *workdir) step(name string, args ...string) error {
	id, err := w.run("prepare", append([]string{"--step", name}, args...)...)
	if err != nil {
		return err
	}
	for _, verb := range [][]string{{"exec", id}, {"commit", id}, {"link", name, id}} {
		if _, err := w.run(verb[0], verb[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// prune removes all runs that no step is linked to.
func (w *workdir) prune() error {
	_, err := w.run("prune", "--older-than", "0s", "--staging", "-q")
	return err
}

// artifacts is the directory of an open run's artifacts.
func (w *workdir) artifacts(run string) string {
	return filepath.Join(w.path, "default", "staging", run, "artifacts")
}

// files makes n files in dir, a thousand in each directory below it, that differ from each
// other. They have 1 KiB, as sources may.
func (s *site) files(dir string, n int) error {
	for i := range n {
		below := filepath.Join(dir, fmt.Sprint("d", i/1000))
		if i%1000 == 0 {
			if err := s.ctx.Err(); err != nil {
				return err
			}
			if err := os.MkdirAll(below, 0o777); err != nil {
				return err
			}
		}
		if err := os.WriteFile(filepath.Join(below, fmt.Sprint("f", i)), bytes.Repeat(fmt.Appendf(nil, "line %10d\n", i), 64), 0o666); err != nil {
			return err
		}
	}
	return nil
}
