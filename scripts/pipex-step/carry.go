package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"pipex/lib/run"
	"pipex/lib/workspace"
)

// carrier is the command that carries pipex-exec to another machine, for a shell; empty for none.
func (s *step) carrier() string {
	if s.exec != "" {
		return s.exec
	}
	return os.Getenv("PIPEX_EXEC")
}

// execute executes the run here or, with a carrier, elsewhere. It returns the exit status, and the signal
// that stopped it, if any. The error is a [*run.LostError] if the exec is lost.
func (s *step) execute(id string) (int, syscall.Signal, error) {
	if s.carrier() == "" {
		args := []string{id}
		if s.stdin {
			args = []string{"-i", id}
		}
		status, stopped := s.wait(exec.Command("pipex-exec", args...))
		return status, stopped, nil
	}
	ws, err := place().Open()
	if err == nil {
		err = ws.Carry(s.name, id)
	}
	if err != nil {
		return statusCannot, 0, err
	}
	defer ws.Uncarry(s.name)
	carrier, stopped := s.wait(s.carried(ws, id))
	status, stopped, err := s.await(ws, id, stopped)
	// It is not there, cannot be executed, or does not understand its options: that is nobody's fault but the caller's.
	s.misused = carrier == 126 || carrier == 127 || carrier == statusUsage
	return status, stopped, err
}

// carried is the command of the carrier: pipex-exec with all that it has to be told on another machine.
func (s *step) carried(ws *workspace.Workspace, id string) *exec.Cmd {
	args := []string{"-c", "exec " + s.carrier() + ` "$@"`, "PIPEX_EXEC", "pipex-exec", "--once", "--workdir=" + filepath.Dir(ws.Root), "--workspace=" + ws.ID}
	if dir := os.Getenv("PIPEX_NODE_DIR"); dir != "" {
		args = append(args, "--containerd="+dir)
	}
	if address := os.Getenv("PIPEX_NODE_ADDRESS"); address != "" {
		args = append(args, "--address="+address)
	}
	if s.stdin {
		args = append(args, "-i")
	}
	cmd := exec.Command("sh", append(args, id)...)
	for _, v := range os.Environ() { // the address is that of this machine
		if len(v) < 19 || v[:19] != "CONTAINERD_ADDRESS=" {
			cmd.Env = append(cmd.Env, v)
		}
	}
	return cmd
}

// await returns what has become of a run that a carrier carried, whatever the carrier says. If the
// exec lives still, since only the carrier has died, it waits for it; a signal ends that.
func (s *step) await(ws *workspace.Workspace, id string, stopped syscall.Signal) (int, syscall.Signal, error) {
	ctx, signals, done := s.interruptible()
	defer done()
	if stopped != 0 { // and the carrier has ended without the exec
		ask(ws, id, stopped)
		time.AfterFunc(stopGrace, func() { giveUp(ws, id) })
	}
	status, err := run.Await(ctx, ws, id, 0, patience(), func(host string) {
		if stopped == 0 {
			say("step %q: waiting for run %s, which %q executes; pipex-logs -f %s shows what it prints", s.name, id, host, id)
		}
	})
	if sig := signals(); sig != 0 && stopped == 0 {
		s.stopping(sig)
		stopped = sig
		ask(ws, id, sig)
		time.AfterFunc(stopGrace, func() { giveUp(ws, id) })
		bounded, cancel := context.WithTimeout(context.Background(), stopGrace+5*workspace.Pulse)
		defer cancel()
		status, err = run.Await(bounded, ws, id, 0, run.Patience, nil)
	}
	if stopped != 0 && err != nil {
		return 128 + int(stopped), stopped, nil
	}
	if lost := new(run.LostError); err != nil && !errors.As(err, &lost) {
		say("%v", err)
		return statusCannot, stopped, nil
	}
	return status, stopped, err
}

// patience is how long nothing may be heard of an exec elsewhere until it is given up.
func patience() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("PIPEX_NODE_TIMEOUT")); err == nil && d > workspace.Pulse {
		return d
	}
	return run.Patience
}

// stopGrace is how long a command elsewhere may take to end by a signal before it is killed.
const stopGrace = 10 * time.Second

// ask has the exec elsewhere pass on a signal, at its next heartbeat.
func ask(ws *workspace.Workspace, id string, sig syscall.Signal) {
	if r, err := ws.OpenRun(id); err == nil && ws.Held(id) != nil {
		r.Ask(sig)
	}
}

func giveUp(ws *workspace.Workspace, id string) {
	if r, err := ws.OpenRun(id); err == nil && ws.Held(id) != nil {
		r.GiveUp()
	}
}

// takeOver returns the run of this step that an earlier pipex-step, which died, has had carried, if it is of
// the same step as the new run id, and is executed still or has succeeded. It ends any other that is executed still.
func (s *step) takeOver(id string) string {
	if s.carrier() == "" {
		return ""
	}
	ws, err := place().Open()
	if err != nil {
		return ""
	}
	old, ok, err := ws.Carried(s.name)
	if err != nil || !ok || old.ID == id {
		return ""
	}
	is, was := recordOf(ws, id), recordOf(ws, old.ID)
	if is == nil || was == nil {
		return ""
	}
	status, ended, lost := run.Result(was, 0)
	switch {
	case ended && (lost != nil || status != 0):
		return "" // a person may want to look at it
	case !ended && ws.Held(old.ID) == nil:
		call("pipex-discard", old.ID) // its exec is dead
		return ""
	case is.Fingerprint == was.Fingerprint && !old.GivenUp():
		return old.ID
	}
	giveUp(ws, old.ID)
	return ""
}

// attach waits for a run that takeOver has returned, and shows what its command prints.
func (s *step) attach(id string) (int, syscall.Signal, error) {
	ws, err := place().Open()
	if err != nil {
		return statusCannot, 0, err
	}
	say("step %q: attached to run %s, which was begun before", s.name, id)
	logs := exec.Command("pipex-logs", "--follow", id)
	logs.Stdout, logs.Stderr = os.Stdout, os.Stderr
	logs.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if logs.Start() == nil {
		defer func() {
			end := time.AfterFunc(5*time.Second, func() { logs.Process.Kill() })
			logs.Wait()
			end.Stop()
		}()
	}
	defer ws.Uncarry(s.name)
	defer func() {
		if m := recordOf(ws, id); m != nil {
			run.EndJob(m)
		}
	}()
	return s.await(ws, id, 0)
}
