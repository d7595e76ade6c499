package main

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"pipex/lib/cli"
	"pipex/lib/workspace"
)

// view is what to print of a run's logs.
type view struct {
	c      *cli.Call
	ws     *workspace.Workspace
	run    workspace.Run
	follow bool
	exec   int // whose part to print, from 1 on, or from -1 on from the last; 0 is all
	tail   int // how many lines to begin with; -1 is all
	logs   []*log
	told   bool // that the run's pipex-exec has died
}

// pause is the time between two looks at a run that is followed.
const pause = 200 * time.Millisecond

// print prints what there is, and if it follows the run, what is added until the run has a
// result.
func (v *view) print() error {
	for {
		// The record comes before the logs: once it has a result, they do not grow.
		m, err := v.meta()
		if err != nil {
			return err
		}
		if err := v.pick(m); err != nil {
			return err
		}
		for _, l := range v.logs {
			from, to := l.part(m, v.exec)
			if err := l.copy(v.run, from, to, v.tail); err != nil {
				return err
			}
		}
		v.tail = -1
		if !v.follow || v.over(m) {
			return nil
		}
		v.tell(m)
		select {
		case <-v.c.Context.Context.Done():
			return v.c.Context.Context.Err()
		case <-time.After(pause):
		}
	}
}

// meta reads the run's record. A commit may move the run meanwhile. A record that is damaged
// or missing says nothing, and the logs are still worth a look.
func (v *view) meta() (*workspace.Meta, error) {
	m, err := v.run.Meta()
	if errors.Is(err, fs.ErrNotExist) {
		if v.run, err = v.ws.Run(v.run.ID); err != nil {
			return nil, err
		}
		m, err = v.run.Meta()
	}
	if err != nil {
		v.c.Warn(err)
		m, v.follow = &workspace.Meta{}, false
	}
	return m, nil
}

// pick makes a number that counts from the last exec one that counts from the first.
func (v *view) pick(m *workspace.Meta) error {
	n := len(m.Execs)
	if v.exec > n || -v.exec > n {
		return fmt.Errorf("%w with exec %d: it has %d", workspace.ErrNoRun, v.exec, n)
	}
	if v.exec < 0 {
		v.exec += n + 1
	}
	return nil
}

// over reports whether what is followed has ended.
func (v *view) over(m *workspace.Meta) bool {
	if v.exec > 0 && (v.exec < len(m.Execs) || m.Execs[v.exec-1].FinishedAt != nil) {
		return true
	}
	return m.Status != workspace.Prepared && m.Status != workspace.Running
}

// tell says once that a run is followed whose pipex-exec has died: its result will not come by
// itself.
func (v *view) tell(m *workspace.Meta) {
	if v.told || m.Status != workspace.Running || v.ws.Held(v.run.ID) != nil {
		return
	}
	v.told = true
	v.c.Say("the pipex-exec of run %s has died; pipex-exec %s attaches", v.run.ID, v.run.ID)
}

func (v *view) close() {
	for _, l := range v.logs {
		l.file.Close()
	}
}
