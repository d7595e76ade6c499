// Package measure runs commands and says what they have cost: time, CPU and memory. The
// CPU is that of all processes that descend from the caller, also of those that outlive the
// command, such as shims and reapers: New makes the caller the one that they fall to.
// What the kernel does in threads of its own is not counted.
//
// A Meter is for one goroutine, and no other part of the program may start or wait for
// processes.
package measure

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Meter runs commands. When its context ends, the command that runs is ended, and the
// later ones fail.
type Meter struct {
	ctx context.Context
	// daemon is the process that outlives all commands, 0 without one.
	daemon int
	// running are the commands that have not been waited for.
	running map[int]*Process
}

// New returns a meter, and makes this process inherit the orphans among its descendants.
func New(ctx context.Context) (*Meter, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("cannot count the CPU time of orphans: %w", err)
	}
	return &Meter{ctx: ctx, running: map[int]*Process{}}, nil
}

// Daemon names the process that outlives all commands: Settle does not wait for it.
func (m *Meter) Daemon(pid int) { m.daemon = pid }

// Heedless returns a meter that does not end with m's context, for cleaning up.
func (m *Meter) Heedless() *Meter {
	return &Meter{ctx: context.WithoutCancel(m.ctx), daemon: m.daemon, running: m.running}
}

// Command is what is run. Without Stdout, what it prints is returned by Wait.
type Command struct {
	Args          []string
	Dir           string
	Env           []string // in addition to this process's
	Stdin, Stdout *os.File
	// Limit is how long it may take; 10 minutes if it is 0.
	Limit time.Duration
}

// Process is a command that was started.
type Process struct {
	meter   *Meter
	name    string
	pid     int
	out     *os.File // nil if the caller gave one
	errs    *os.File
	cancel  func()
	expired bool
	status  syscall.WaitStatus
	usage   syscall.Rusage
	ended   bool
}

// Result is what a command printed, and the most memory that it had. That is at least as much as
// this process had before, since execve(2) keeps the counter.
type Result struct {
	Out  string
	Peak int64 // bytes
}

// Run runs a command to its end. A status other than 0 is an error.
func (m *Meter) Run(c Command) (Result, error) {
	p, err := m.Start(c)
	if err != nil {
		return Result{}, err
	}
	return p.Wait()
}

// Start starts a command. The caller must call Wait.
func (m *Meter) Start(c Command) (*Process, error) {
	if err := m.ctx.Err(); err != nil {
		return nil, err
	}
	if c.Limit == 0 {
		c.Limit = 10 * time.Minute
	}
	p := &Process{meter: m, name: c.Args[0]}
	cmd := exec.Command(c.Args[0], c.Args[1:]...)
	cmd.Dir, cmd.Stdout = c.Dir, c.Stdout
	cmd.Env = append(os.Environ(), c.Env...)
	if c.Stdin != nil {
		cmd.Stdin = c.Stdin
	}
	// Files, not pipes: a process that outlives the command may hold them.
	var err error
	if p.errs, err = memory(); err != nil {
		return nil, err
	}
	cmd.Stderr = p.errs
	if c.Stdout == nil {
		if p.out, err = memory(); err != nil {
			p.errs.Close()
			return nil, err
		}
		cmd.Stdout = p.out
	}
	// A group of its own: ^C is for the caller, who ends the whole group.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		p.close()
		return nil, err
	}
	p.pid = cmd.Process.Pid
	cmd.Process.Release()
	p.bound(c.Limit)
	m.running[p.pid] = p
	return p, nil
}

// bound ends the command with the meter's context, and kills it when its time is up.
func (p *Process) bound(limit time.Duration) {
	pid := p.pid
	stop := context.AfterFunc(p.meter.ctx, func() {
		syscall.Kill(-pid, syscall.SIGTERM)
		time.Sleep(5 * time.Second)
		syscall.Kill(-pid, syscall.SIGKILL)
	})
	timer := time.AfterFunc(limit, func() { syscall.Kill(-pid, syscall.SIGKILL) })
	p.cancel = func() { stop(); p.expired = !timer.Stop() }
}

// Wait waits for the command's end. A status other than 0 is an error.
func (p *Process) Wait() (Result, error) {
	for !p.ended {
		if _, err := p.meter.reap(0); err != nil {
			return Result{}, fmt.Errorf("cannot wait for %q: %w", p.name, err)
		}
	}
	p.cancel()
	defer p.close()
	r := Result{Peak: p.usage.Maxrss << 10}
	if p.out != nil {
		r.Out = strings.TrimSpace(contents(p.out))
	}
	switch {
	case p.meter.ctx.Err() != nil:
		return r, p.meter.ctx.Err()
	case p.expired:
		return r, fmt.Errorf("%q took too long and was killed", p.name)
	case !p.status.Exited() || p.status.ExitStatus() != 0:
		return r, &Failure{p.name, p.status, strings.TrimSpace(contents(p.errs))}
	}
	return r, nil
}

// Failure is a command that did not end with status 0.
type Failure struct {
	Name   string
	Status syscall.WaitStatus
	Stderr string
}

func (f *Failure) Error() string {
	return fmt.Sprintf("%q ended with %d: %s", f.Name, f.Status.ExitStatus(), f.Stderr)
}

// reap waits for any child and returns its pid; with WNOHANG, 0 if none has ended.
func (m *Meter) reap(flags int) (int, error) {
	var status syscall.WaitStatus
	var usage syscall.Rusage
	pid, err := syscall.Wait4(-1, &status, flags, &usage)
	if errors.Is(err, syscall.EINTR) {
		return m.reap(flags)
	}
	if p := m.running[pid]; err == nil && p != nil {
		p.status, p.usage, p.ended = status, usage, true
		delete(m.running, pid)
	}
	return pid, err
}

func memory() (*os.File, error) {
	fd, err := unix.MemfdCreate("output", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), "output"), nil
}

// maxOutput is how much of a command's output is looked at.
const maxOutput = 1 << 20

func contents(f *os.File) string {
	b := make([]byte, maxOutput)
	n, _ := f.ReadAt(b, 0)
	return string(b[:n])
}

func (p *Process) close() {
	p.errs.Close()
	if p.out != nil {
		p.out.Close()
	}
}
