package main

import (
	"context"
	"os"
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
	for {
		held, err := s.hold()
		if err != nil {
			say("%v", err)
			return "", statusCannot
		}
		run, status = s.output("pipex-prepare", append([]string{"--step", s.name}, s.prepare...)...)
		if held || status != 0 {
			return run, status
		}
		// There was no workspace to lock the step in. Now there is, and others may have
		// come to it at the same time.
		if code := call("pipex-discard", run); code != 0 {
			return "", code
		}
	}
}

// hold takes the step's lock, unless this process holds it already. It returns false if
// there is no workspace yet, or if pipex-prepare is going to say what is wrong.
func (s *step) hold() (held bool, err error) {
	if s.held != nil {
		return true, nil
	}
	if name.Check("step", s.name) != nil {
		return false, nil
	}
	ws, err := run.Place{Workdir: os.Getenv("PIPEX_WORKDIR"), Workspace: os.Getenv("PIPEX_WORKSPACE")}.Open()
	if err != nil {
		return false, nil
	}
	var wait *time.Timer
	s.held, err = ws.HoldStep(context.Background(), s.name, "step", func(busy *workspace.BusyError) {
		wait = time.AfterFunc(aMoment, func() { s.sayWaiting(busy.By) })
	})
	if wait != nil {
		wait.Stop()
	}
	return err == nil, err
}

func (s *step) sayWaiting(by *workspace.Holder) {
	if by == nil {
		say("waiting for step %q, which another process runs", s.name)
		return
	}
	say("waiting for step %q, which process %d on %s runs", s.name, by.PID, by.Host)
}
