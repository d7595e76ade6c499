package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"pipex/lib/name"
	"pipex/lib/run"
	"pipex/lib/workspace"
)

// aMoment is how long a step waits for another process before it says so.
const aMoment = time.Second

// prepareHeld calls pipex-prepare under the step's lock, which then is held until this
// process ends: no other pipex-step runs the step meanwhile, and one that has waited
// finds the run that we have committed, by its fingerprint.
func (s *step) prepareHeld() (run string, status int) {
	prepare := func() (string, int) {
		return s.output("pipex-prepare", append([]string{"--step", s.name}, s.prepare...)...)
	}
	if s.held != nil {
		return prepare()
	}
	if s.held, status = s.hold(); status == 0 && s.held == nil {
		// There is no workspace to lock the step in. prepare makes it, and others may come
		// to it at the same time.
		if run, status = prepare(); status != 0 {
			return run, status
		}
		if status = call("pipex-discard", run); status == 0 {
			s.held, status = s.hold()
		}
	}
	if status != 0 {
		return "", status
	}
	return prepare()
}

// hold takes the step's lock. It is nil if there is no workspace yet, or if pipex-prepare
// is going to say what is wrong.
func (s *step) hold() (*workspace.Lock, int) {
	if name.Check("step", s.name) != nil {
		return nil, 0
	}
	ws, err := place().Open()
	if err != nil {
		return nil, 0
	}
	var wait *time.Timer
	held, err := ws.HoldStep(context.Background(), s.name, "step", func(busy *workspace.BusyError) {
		wait = time.AfterFunc(aMoment, func() { s.sayWaiting(busy.By) })
	})
	if wait != nil {
		wait.Stop()
	}
	if err != nil {
		say("%v", err)
		return nil, statusCannot
	}
	return held, 0
}

// place is that of the environment, else that which the verbs find.
func place() run.Place {
	p := run.Place{Workdir: os.Getenv("PIPEX_WORKDIR"), Workspace: os.Getenv("PIPEX_WORKSPACE")}
	if p.Workdir == "" || p.Workspace == "" {
		where, err := exec.Command("pipex-link", "--where").Output() // it says nothing if there is none yet
		if err == nil {
			p.Workdir, p.Workspace = filepath.Split(strings.TrimSuffix(string(where), "\n"))
		}
	}
	return p
}

func (s *step) sayWaiting(by *workspace.Holder) {
	if by == nil {
		say("waiting for step %q, which another process runs", s.name)
		return
	}
	say("waiting for step %q, which process %d on %s runs", s.name, by.PID, by.Host)
}
