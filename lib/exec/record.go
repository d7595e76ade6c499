package exec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/network"
	"pipex/lib/run"
	"pipex/lib/workspace"
)

// record returns the record of the current exec, which is the last one.
func (x *execution) record() *workspace.Exec { return &x.meta.Execs[len(x.meta.Execs)-1] }

// lost completes the record of an exec that died together with its task. If that exec
// decides the run's result, the run has failed.
func (x *execution) lost() {
	if len(x.meta.Execs) == 0 || x.record().FinishedAt != nil {
		return
	}
	now := workspace.Now()
	x.record().FinishedAt = &now
	x.record().Error = "lost: pipex-exec and the container ended without a status"
	x.conclude(FailedCode)
}

// begin adds the record of this exec. The caller writes it, before the task is created.
func (x *execution) begin(args []string) error {
	stdout, err := os.Stat(x.run.Stdout())
	if err != nil {
		return err
	}
	stderr, err := os.Stat(x.run.Stderr())
	if err != nil {
		return err
	}
	limit := x.LogMax
	if l := x.meta.Limits; limit == 0 && l != nil {
		limit = l.LogMaxBytes
	}
	entry := workspace.Exec{
		Cmd: args, Override: len(x.Cmd) > 0, Setup: x.setup, Network: x.network(), BootID: bootID(), Host: hostname(), Address: x.Socket(), Job: x.Job, Cgroup: x.group, StartedAt: workspace.Now(), Terminal: x.Terminal, LogMaxBytes: limit,
		StdoutOffset: stdout.Size(), StderrOffset: stderr.Size(),
	}
	m := x.meta
	m.Execs = append(m.Execs, entry)
	m.Status = workspace.Running
	if !entry.Override { // from now on the record has the result of this exec, or none
		m.StartedAt, m.FinishedAt, m.DurationMs = x.since(), nil, 0
		m.ExitCode, m.Reason, m.Usage = nil, "", nil
	}
	return nil
}

// write writes the record of an exec that begins. It first reserves room for its end.
func (x *execution) write() (err error) {
	if x.view == nil { // a view has no result to lose, and may be wanted because the disk is full
		if x.spare, err = x.ws.Reserve(x.run, x.meta); err == nil {
			err = x.reserve()
		}
		if err != nil {
			return err
		}
	}
	return x.ws.WriteMeta(x.run, x.meta)
}

// since returns when what the current exec decides began: its setup, if it had one just before.
func (x *execution) since() *workspace.Time {
	execs := x.meta.Execs
	first := len(execs) - 1
	if first > 0 && execs[first-1].Setup && !execs[first].Setup {
		first--
	}
	start := execs[first].StartedAt
	return &start
}

// end records how the exec ended, and what of the mounts and sources has changed since
// prepare. actual is the command's own exit status; nil if there is none. code is the
// status that Exec returns.
func (x *execution) end(at time.Time, actual *int, code int) error {
	finished := workspace.Time{Time: at.UTC().Truncate(time.Millisecond)}
	r := x.record()
	r.FinishedAt, r.ExitCode = &finished, actual
	if actual != nil && *actual > 128 {
		r.Signal = unix.SignalName(syscall.Signal(*actual - 128))
	}
	r.DurationMs = finished.Sub(r.StartedAt.Time).Milliseconds()
	x.conclude(code)
	x.lookAgain()
	spare := x.spare
	x.spare = ""
	err := x.ws.WriteReserved(spare, x.run, x.meta)
	if err == nil && x.Once { // the one who waits for it on another machine believes only this
		err = x.run.Sync()
	}
	return err
}

// lookAgain looks for what has changed since prepare. A signal ends it: then everything may
// have changed. A view has no result of its own.
func (x *execution) lookAgain() {
	if x.view != nil {
		return
	}
	ctx, done := Interruptible(context.Background(), x.Signals)
	defer done()
	run.Look(ctx, x.Place, x.run, x.meta)
}

// cut truncates the logs of an exec that has ended at their limit, and records how many
// bytes were dropped.
func (x *execution) cut() error {
	logs, r := x.logs, x.record()
	if r.Terminal {
		os.Remove(x.run.Terminal())
		logs = logs[1:]
	}
	var cut bool
	for i, dropped := range []*int64{&r.StdoutDropped, &r.StderrDropped} {
		n, err := logs[i].Cut()
		if err != nil {
			return fmt.Errorf("cannot cut a log to %d bytes: %w", r.LogMaxBytes, err)
		}
		if n > 0 {
			*dropped, cut = *dropped+n, true
		}
	}
	if !cut {
		return nil
	}
	x.Warning(fmt.Errorf("the logs of run %q keep %d bytes of what this exec wrote, %d are left out", x.run.ID, r.LogMaxBytes, r.StdoutDropped+r.StderrDropped))
	return x.ws.WriteMeta(x.run, x.meta)
}

// conclude sets the run's result from the exec that has just ended. An exec whose command
// replaced the prepared one does not change the result; nor does a setup that succeeded.
func (x *execution) conclude(code int) {
	m, r := x.meta, x.record()
	if !r.Override && !(r.Setup && code == 0) {
		m.StartedAt, m.FinishedAt = x.since(), r.FinishedAt
		m.DurationMs = m.FinishedAt.Sub(m.StartedAt.Time).Milliseconds()
		m.ExitCode, m.Reason, m.Usage = &code, x.reason(), r.Usage
		if r.Setup {
			m.Reason = strings.TrimPrefix(m.Reason+", in the setup", ", ")
		}
	}
	switch {
	case m.ExitCode == nil:
		m.Status = workspace.Prepared
	case *m.ExitCode == 0:
		m.Status = workspace.Success
	default:
		m.Status = workspace.Failure
	}
}

// usage returns what a task has used.
func (x *execution) usage(task *containerd.Task) *workspace.Usage {
	u := task.Usage(x.record().Cgroup)
	return &workspace.Usage{PeakMemoryBytes: u.PeakMemory, CPUMs: u.CPU.Milliseconds(), OOMKilled: u.OOMKilled}
}

// failed records an exec whose command did not start, or whose status was lost. If the
// command itself is at fault, because it does not exist or is not executable, failed
// returns the status for that and no error.
func (x *execution) failed(err error) (int, error) {
	if !x.waiting {
		// No task was started that could use the network.
		x.Warning(network.Remove(context.Background(), x.meta.Container.ID))
	}
	for _, log := range x.logs {
		x.Warning(log.Stop())
	}
	if !x.waiting {
		x.unreserve() // else the shim may be writing to the logs
	}
	if len(x.meta.Execs) == 0 || x.record().FinishedAt != nil {
		return 0, err // it failed before it was recorded
	}
	x.record().Error = err.Error()
	var command *containerd.CommandError
	if errors.As(err, &command) {
		x.Warning(err)
		return command.Code, x.end(time.Now(), &command.Code, command.Code)
	}
	return 0, errors.Join(err, x.end(time.Now(), nil, FailedCode))
}

// FailedCode is the status if exec itself failed, as of docker run.
const FailedCode = 125
