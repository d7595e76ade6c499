package main

import (
	"os"
	"path/filepath"

	"pipex/bench/internal/measure"
)

var bigRow = row{
	name: "big", about: "verbs in a workspace of 100,000 runs and 10,000 steps, and in an empty one", rounds: 12,
	contests: func(s *site) (all []contest, err error) {
		big := map[binaries]*workdir{}
		for _, b := range []binaries{s.bin, binaries(s.with)} {
			if b == "" {
				continue
			}
			if big[b], err = s.crowd(b, s.size(100_000, 200), s.size(10_000, 20)); err != nil {
				return nil, err
			}
		}
		empty, err := s.crowd(s.bin, 0, 0)
		if err != nil {
			return nil, err
		}
		for _, v := range among {
			all = append(all, contest{
				name: v.name + " among many", warm: true,
				ours:  func(b binaries) measure.Subject { return v.subject(big[b], "among 100,000 runs") },
				peers: []peer{{v.subject(empty, "in an empty workspace"), limits(1.1)}},
			})
		}
		tenth, err := s.crowd(s.bin, s.size(10_000, 20), s.size(1000, 2))
		if err != nil {
			return nil, err
		}
		for _, v := range lists {
			each := func(w *workdir, name string, lines int) measure.Subject {
				return measure.Subject{Name: name, Do: func(sample *measure.Sample) error {
					_, err := w.run(v[0], v[1:]...)
					sample.Share = lines
					return err
				}}
			}
			all = append(all, contest{
				name: v[0] + ", each line", rounds: 4,
				ours:  func(b binaries) measure.Subject { return each(big[b], "of 10,000 steps", s.size(10_000, 20)) },
				peers: []peer{{each(tenth, "of 1,000 steps", s.size(1000, 2)), limits(1.1)}},
			})
		}
		return all, nil
	},
}

// lists are commands that read all steps or all runs.
var lists = [][]string{{"link"}, {"show"}, {"prune", "--dry-run", "-q"}}

// crowd makes a workspace with many runs, and one step that was run in it.
func (s *site) crowd(b binaries, runs, steps int) (*workdir, error) {
	w := s.open(b)
	if runs > 0 {
		if _, err := crowded(filepath.Join(w.path, "default"), runs, steps); err != nil {
			return nil, err
		}
	}
	makefile := lines(grid(1, 10, "--image busybox", "true")) + "include pipex.mk\n"
	if err := os.WriteFile(filepath.Join(w.path, "..", filepath.Base(w.path)+".mk"), []byte(makefile), 0o666); err != nil {
		return nil, err
	}
	if err := w.make("-s"); err != nil {
		return nil, err
	}
	return w, s.settled(w.step("bench", "--image", "busybox", "--", "true"))
}

// make makes the steps of the workdir's Makefile.
func (w *workdir) make(args ...string) error {
	c := w.command("")
	c.Args = append([]string{"make", "-f", w.path + ".mk"}, args...)
	_, err := w.meter.Run(c)
	return err
}

// action is something that is done in a workspace, among many runs or few.
type action struct {
	name string
	// before returns the run that do works on.
	before func(*workdir) (string, error)
	do     func(w *workdir, run string) error
	after  func(w *workdir, run string) error
}

func (a action) subject(w *workdir, name string) measure.Subject {
	run := ""
	subject := measure.Subject{Name: name, Do: func(*measure.Sample) error { return a.do(w, run) }}
	if a.before != nil {
		subject.Before = func() (err error) {
			run, err = a.before(w)
			return err
		}
	}
	if a.after != nil {
		subject.After = func() error { return a.after(w, run) }
	}
	return subject
}

// among are the actions that are to cost the same, however many runs there are.
var among = []action{
	{name: "prepare", do: func(w *workdir, _ string) error { return w.verb("prepare", "--image", "busybox", "--", "true") }},
	{name: "prepare --cached", do: func(w *workdir, _ string) error {
		return w.cached("--step", "bench", "--image", "busybox", "--", "true")
	}},
	{name: "exec", before: opened, do: onRun("exec"), after: onRun("discard")},
	{name: "commit", before: executed, do: onRun("commit")},
	{name: "link", before: finished, do: func(w *workdir, run string) error { return w.verb("link", "bench", run) }},
	{name: "link STEP", do: func(w *workdir, _ string) error { return w.verb("link", "bench") }},
	{name: "discard", before: executed, do: onRun("discard")},
	{name: "show STEP", do: func(w *workdir, _ string) error { return w.verb("show", "bench") }},
	{name: "logs STEP", do: func(w *workdir, _ string) error { return w.verb("logs", "bench") }},
	{name: "null build", do: func(w *workdir, _ string) error { return w.make() }},
}

func (w *workdir) verb(name string, args ...string) error {
	_, err := w.run(name, args...)
	return err
}

func onRun(verb string) func(*workdir, string) error {
	return func(w *workdir, run string) error { return w.verb(verb, run) }
}

// opened, executed and finished make a run that is open, that has succeeded, and that is
// committed.
func opened(w *workdir) (string, error) {
	return w.run("prepare", "--image", "busybox", "--", "true")
}

func executed(w *workdir) (string, error) {
	run, err := opened(w)
	if err == nil {
		err = w.verb("exec", run)
	}
	return run, err
}

func finished(w *workdir) (string, error) {
	run, err := executed(w)
	if err == nil {
		err = w.verb("commit", run)
	}
	return run, err
}
