package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"pipex/lib/run"
)

// run runs a command on a host, and returns its status.
func (p *pool) run(args []string) (int, error) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	carried, err := run.ParseCarried(args)
	if err != nil && !errors.Is(err, run.ErrNoExec) {
		return statusLost, err
	}
	var at *host
	var slot int
	for at == nil {
		h, i, err := p.take()
		if err != nil {
			return statusLost, fmt.Errorf("%w: %s", err, strings.Join(strings.Fields(fmt.Sprint(p)), " "))
		}
		if err := h.connect(i); err != nil {
			h.setAside(err)
			h.unlock(int64(i))
			continue
		}
		at, slot = h, i
	}
	j := &job{host: at, slot: slot, args: args, signals: signals, exec: carried}
	status := j.do()
	if status == statusLost { // of ssh, or the command's own
		if err := at.answers(slot); err != nil {
			at.setAside(errors.New("the connection broke"))
		}
	}
	at.unlock(int64(slot))
	return status, nil
}

// String lists the hosts.
func (p *pool) String() string {
	var all []string
	for _, h := range p.hosts {
		all = append(all, h.name)
	}
	return strings.Join(all, " ")
}

// job is a command on a host.
type job struct {
	*host
	slot    int
	args    []string
	signals <-chan os.Signal
	// exec is what it executes; nil for another command.
	exec *run.Carried
}

// passed are variables that a pipex-exec elsewhere needs as well.
var passed = []string{"TRACEPARENT", "TRACESTATE", "PIPEX_TRACE", "SLURM_JOB_ID", "SLURM_JOBID"}

// secrets returns the values of the run's secrets that pipex-exec reads in its environment.
func (j *job) secrets() map[string]string {
	values := map[string]string{}
	if j.exec == nil {
		return values
	}
	for _, s := range j.exec.Meta.Secrets {
		if v, ok := os.LookupEnv(s.Name); ok && s.File == "" {
			values[s.Name] = v
		}
	}
	return values
}

// receive is a shell command that takes variables from the beginning of its standard input: a line
// each, escaped for printf(1), until an empty one. There nobody else sees them, as in a command line.
const receive = `while IFS= read -r l && [ -n "$l" ]; do v=$(printf '%b.' "${l#*=}"); export "${l%%=*}=${v%.}"; done; exec "$@"`

// do runs the command.
func (j *job) do() int {
	secrets := j.secrets()
	words := []string{"exec"}
	if len(secrets) > 0 {
		words = append(words, "sh", "-c", quote(receive), "sh")
	}
	words = append(words, "env")
	for _, name := range passed {
		if v, ok := os.LookupEnv(name); ok {
			words = append(words, quote(name+"="+v))
		}
	}
	for _, a := range j.args {
		words = append(words, quote(a))
	}
	cmd := j.ssh(context.Background(), j.slot, "--", j.name, strings.Join(words, " "))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if len(secrets) == 0 {
		cmd.Stdin = os.Stdin
	} else {
		in, err := cmd.StdinPipe()
		if err != nil {
			say("%v", err)
			return statusLost
		}
		go func() {
			defer in.Close()
			io.WriteString(in, lines(secrets))
			io.Copy(in, os.Stdin)
		}()
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		say("%v", err)
		return statusLost
	}
	ended := make(chan error, 1)
	go func() {
		state, err := cmd.Process.Wait() // not cmd.Wait, which waits for the copy of standard input
		if err == nil && !state.Success() {
			err = &exec.ExitError{ProcessState: state}
		}
		ended <- err
	}()
	for {
		select {
		case err := <-ended:
			return statusOf(err)
		case sig := <-j.signals:
			j.pass(cmd, sig.(syscall.Signal))
		}
	}
}

// lines are variables for receive.
func lines(values map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(values)) {
		b.WriteString(name + "=")
		for _, c := range []byte(values[name]) {
			fmt.Fprintf(&b, `\0%03o`, c)
		}
		b.WriteByte('\n')
	}
	return b.String() + "\n"
}

// pass passes a signal on: ssh cannot, so pipex-exec is asked by a file. Another command, or one that has not begun,
// is left alone, and the connection ends.
func (j *job) pass(cmd *exec.Cmd, sig syscall.Signal) {
	if j.exec == nil || !j.exec.Ask(sig) {
		cmd.Process.Signal(syscall.SIGTERM)
	}
}

// statusOf is the exit status of a process, 128+N if signal N ended it.
func statusOf(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &exit):
		say("%v", err)
		return statusLost
	}
	if ws := exit.Sys().(syscall.WaitStatus); ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return exit.ExitCode()
}

// quote returns a word quoted for a shell.
func quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }
