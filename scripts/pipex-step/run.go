package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pipex/lib/cli/traced"
)

// record is what pipex-commit --json prints of a run.
type record struct {
	Digest     string `json:"digest"`
	Files      int64  `json:"files"`
	Bytes      int64  `json:"bytes"`
	DurationMs int64  `json:"durationMs"`
}

// run runs the step and returns the exit status. Whatever happens, the last event says
// what has become of the step.
func (s *step) run() int {
	s.event(event{Event: "STEP_PREPARING"})
	status := s.tries()
	if status != 0 && !s.over {
		s.event(failure(status))
	}
	return status
}

// tries takes the step from prepare to link and returns the exit status.
func (s *step) tries() int {
	lostTimes := 0
	for attempt := 0; ; attempt++ {
		run, status := s.prepareHeld()
		var stopped syscall.Signal
		var lost error
		switch status {
		case 0:
			if linked := s.allowed(run); linked != "" {
				call("pipex-discard", run)
				return s.publish(linked, 0, true)
			}
			if found := s.fetch(run); found != "" {
				call("pipex-discard", run)
				return s.publish(found, 0, true)
			}
			if old := s.takeOver(run); old != "" {
				call("pipex-discard", run)
				run = old
				status, stopped, lost = s.attach(run)
				break
			}
			s.starts(run)
			status, stopped, lost = s.execute(run)
		case 3: // up to date
			return s.publish(run, 0, true)
		case 1: // an input is missing
			return s.failed(status, event{Event: "STEP_SKIPPED", Reason: "dependency"})
		case statusCannot:
			run = ""
		case statusUsage:
			s.explainUsage()
			return s.failed(status, failure(status))
		default:
			return s.failed(status, failure(status))
		}
		if lost != nil {
			say("step %q: %v", s.name, lost)
			status = execFailed
		}
		switch {
		case lost != nil && lostTimes < s.infraRetries && !s.misused:
			say("step %q is tried again on the machines that are left; such tries left: %d", s.name, s.infraRetries-lostTimes)
			lostTimes++
			attempt-- // it is not the step's fault
			s.event(event{Event: "STEP_RETRYING", Attempt: attempt + 1, MaxRetries: s.retries})
			call("pipex-discard", run) // if it is still in use, prune does
			time.Sleep(s.delay)
			continue
		case s.ephemeral && run != "":
			if code := call("pipex-discard", run); status == 0 {
				status = code
			}
			return status
		case status == 0:
			return s.publish(run, status, false)
		case stopped != 0:
			say("step %q was stopped by %s, with status %d", s.name, unix.SignalName(stopped), status)
			call("pipex-discard", run)
			s.tried = "" // the step may yet succeed
			e := failure(status)
			e.Reason = interrupted
			return s.failed(status, e)
		case attempt == s.retries && run == "":
			return s.failed(status, failure(status))
		case attempt == s.retries:
			return s.ended(run, status)
		}
		say("step %q failed with status %d; tries left: %d", s.name, status, s.retries-attempt)
		s.event(event{Event: "STEP_RETRYING", Attempt: attempt + 1, MaxRetries: s.retries})
		if run != "" {
			if code := call("pipex-discard", run); code != 0 {
				return code
			}
		}
		time.Sleep(s.delay)
	}
}

// execFailed is the status of a pipex-exec that failed itself: there is no result that
// could be allowed.
const execFailed = 125

// ended is what becomes of a run whose command failed for the last time.
func (s *step) ended(run string, status int) int {
	if s.allowFailure && status != execFailed {
		code := s.publish(run, status, false)
		if code == 0 {
			say("step %q failed with status %d; linked all the same to %s", s.name, status, run)
		}
		return code
	}
	traced.Name("", "pipex.run", run)
	e := failure(status)
	e.Reason = s.tellFailure(run, status)
	return s.failed(status, e)
}

// publish commits and links the run, and tells make and whoever reads the events.
func (s *step) publish(run string, status int, cached bool) int {
	traced.Name("", "pipex.run", run, "pipex.cached", strconv.FormatBool(cached))
	args := []string{"--json", "--quiet"} // pipex-exec has given the warnings
	if s.allowFailure {
		args = append(args, "--allow-failure")
	}
	text, code := s.output("pipex-commit", append(args, run)...)
	if code != 0 {
		return code
	}
	var r record
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		say("cannot read what pipex-commit prints: %v", err)
		return statusCannot
	}
	if code := call("pipex-link", "--quiet", s.name, run); code != 0 {
		return code
	}
	if err := s.mark(run, r.Digest); err != nil {
		say("cannot write the stamp: %v", err)
		return statusCannot
	}
	if cached {
		s.event(event{Event: "STEP_SKIPPED", Reason: "cached", RunID: run})
	} else {
		s.files = r.Files
		s.event(event{Event: "STEP_FINISHED", RunID: run, ExitCode: &status, DurationMs: &r.DurationMs, ArtifactSize: &r.Bytes})
	}
	return 0
}

// output runs a verb and returns what it prints, without the line end, and its status.
func (s *step) output(verb string, args ...string) (string, int) {
	cmd := exec.Command(verb, args...)
	cmd.Stdin, cmd.Stderr = os.Stdin, os.Stderr
	out, err := cmd.Output()
	return strings.TrimSuffix(string(out), "\n"), status(err)
}

// call runs a verb, whose output is ours, and returns its status.
func call(verb string, args ...string) int {
	cmd := exec.Command(verb, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return status(cmd.Run())
}

// status is the exit status of a process, 128+N if signal N ended it.
func status(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &exit):
		say("%v", err)
		return statusCannot
	}
	if ws := exit.Sys().(syscall.WaitStatus); ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return exit.ExitCode()
}

// quit gets SIGQUIT while no command runs.
var quit = make(chan os.Signal, 1)

// endOnQuit has SIGQUIT end this program without Go's pages of goroutines.
func endOnQuit() {
	signal.Notify(quit, syscall.SIGQUIT)
	go func() {
		<-quit
		os.Exit(128 + int(syscall.SIGQUIT))
	}()
}

// sameSignal is how long a signal that comes again is the same: timeout(1) sends it to
// make and to us, and make passes its own on to us.
const sameSignal = 100 * time.Millisecond

// stopSignals returns the signals that stop the step, until done is called.
func stopSignals() (signals chan os.Signal, done func()) {
	signals = make(chan os.Signal, 8)
	for _, sig := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM} {
		if !signal.Ignored(sig) { // as nohup(1) has it, and a shell for jobs behind it
			signal.Notify(signals, sig)
		}
	}
	signal.Stop(quit)
	return signals, func() {
		signal.Stop(signals)
		signal.Notify(quit, syscall.SIGQUIT)
	}
}

// interruptible returns a context that a signal ends; signals returns that signal, or 0.
func (s *step) interruptible() (_ context.Context, signals func() syscall.Signal, done func()) {
	ctx, cancel := context.WithCancel(context.Background())
	caught, end := stopSignals()
	var got atomic.Int32
	go func() {
		select {
		case sig := <-caught:
			got.Store(int32(sig.(syscall.Signal)))
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() syscall.Signal { return syscall.Signal(got.Load()) }, func() {
		cancel()
		end()
	}
}

// wait runs pipex-exec, or what carries it, and returns its status, and the signal that stopped it, if
// any. In a session of its own pipex-exec gets each signal once: from here, and not from
// a terminal or timeout(1) as well, where the second would kill the container.
func (s *step) wait(cmd *exec.Cmd) (int, syscall.Signal) {
	signals, done := stopSignals()
	defer done()
	if s.stdin {
		cmd.Stdin = os.Stdin
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if s.label {
		stdout, stderr := &labeller{to: os.Stdout, label: "[" + s.name + "] "}, &labeller{to: os.Stderr, label: "[" + s.name + "] "}
		defer stdout.end()
		defer stderr.end()
		cmd.Stdout, cmd.Stderr = stdout, stderr
	}
	cmd.WaitDelay = 5 * time.Second // with --label, what a carrier left behind may keep the pipes
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return status(err), 0
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var stopped syscall.Signal
	var at time.Time
	for {
		select {
		case err := <-ended:
			return status(err), stopped
		case sig := <-signals:
			if sig == stopped && time.Since(at) < sameSignal {
				continue
			}
			cmd.Process.Signal(sig)
			if stopped == 0 {
				s.stopping(sig.(syscall.Signal))
			}
			stopped, at = sig.(syscall.Signal), time.Now()
		}
	}
}
