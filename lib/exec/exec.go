// Package exec runs the command of a prepared run in a container and records how it
// ended. A run can be executed any number of times; all executions share one writable
// layer.
package exec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/endpoint"
	"pipex/lib/internal/follow"
	"pipex/lib/internal/secret"
	"pipex/lib/internal/trace"
	"pipex/lib/run"
	"pipex/lib/step"
	"pipex/lib/workspace"
)

// Options say what to execute, and how. The zero value runs the prepared command without
// input. Its output goes to the logs only.
type Options struct {
	// Cmd replaces the prepared command for this exec only.
	Cmd []string
	// Network replaces the prepared network for this exec only.
	Network step.Network
	// Timeout replaces the prepared timeout for this exec only.
	Timeout time.Duration
	// Grace is the time between the SIGTERM after a timeout and the SIGKILL. Zero is
	// [DefaultGrace]; a negative value kills at once.
	Grace time.Duration
	// LogMax replaces the prepared limit of each log, in bytes, for this exec only.
	LogMax int64
	// Terminal gives the command a terminal. It takes its size from the caller's
	// terminal, which is Stdin, or Stdout if Stdin is nil.
	Terminal bool
	// Stdin is the command's standard input; nil for an empty one.
	Stdin *os.File
	// Stdout and Stderr receive what the command writes, in addition to the logs. Nil
	// discards it.
	Stdout, Stderr io.Writer
	// Lookup returns the value of an environment variable, for secrets that come from
	// one. Nil has no values.
	Lookup func(string) (string, bool)
	// EnvProgram is the path of a static program that calls [SecretProgram] first. It is
	// needed for secrets that are passed as environment variables.
	EnvProgram string
	// Signals are forwarded to the command. A second SIGINT or SIGTERM kills the
	// container. It may be nil.
	Signals <-chan os.Signal
	// Fetch fetches the image, by its digest, to a containerd that does not have it; nil if that is an
	// error.
	Fetch func(ctx context.Context, to endpoint.Containerd, ref, platform string) error
	// Once removes all that the run owns in this containerd before Exec returns, writes the record through to the
	// disk, and gives signs of life while the command runs: see [run.Alive]. It is for a
	// machine that does nothing else for the run.
	Once bool
	// Job is the job of a batch system that this process belongs to; empty for none.
	Job string
	// BelowCaller puts the container below the control group of this process, whose limits then hold
	// for it, too.
	BelowCaller bool
	// Reap is called when the command has ended and a note says that its container is still
	// to be removed; see [run.HandOver]. Nil: Exec removes the container before it returns.
	Reap func()
}

// DefaultGrace is the default of Options.Grace: 10 seconds, as in docker stop.
const DefaultGrace = 10 * time.Second

// TimedOutCode is the status of an exec that timed out, as of timeout(1).
const TimedOutCode = 124

// SecretProgram must be called first by a main program that is given as EnvProgram. If
// the process was started inside a container to pass secrets as environment variables,
// it executes the command and does not return. Otherwise it does nothing.
func SecretProgram() {
	if os.Args[0] == secret.Program {
		secret.Main(os.Args[1:])
	}
}

// Exec runs the command of the prepared run id and returns its exit status: 128+N if
// signal N ended it, 124 if it timed out, 126 if the command is not executable, 127 if it
// does not exist. If there is an error, there is no such status; the run's record says
// what is known.
//
// If an earlier exec was killed while its command ran, the container is still running.
// Exec then attaches to it and does not start another command. If that was on another machine, or in another
// containerd, Exec fails: it cannot know.
//
// The containerd need not be the one where the run was prepared. It then leases the image, which is
// fetched by its digest if it is missing.
//
// Exec takes the run's lock and the locks of its exclusive caches, and holds them until
// the command has ended. If another process holds the run, the error is a
// [*workspace.BusyError].
//
// If ctx ends while Exec waits for caches or starts the command, Exec returns. While the
// command runs, ctx is ignored: use Signals or a timeout to end the command.
func Exec(ctx context.Context, p run.Place, id string, opt Options) (int, error) {
	ws, err := p.Open()
	if err != nil {
		return 0, err
	}
	r, lock, err := run.HoldOpen(ws, id, "exec", "look around in it: pipex-shell "+id)
	if err != nil {
		return 0, err
	}
	defer lock.Release()
	if r.GivenUp() {
		return 0, fmt.Errorf("run %q was given up, since nothing was heard of its exec; pipex-discard %s, then prepare it again", id, id)
	}
	m, err := r.Meta()
	if err != nil {
		return 0, err
	}
	if m.Container == nil {
		return 0, fmt.Errorf("run %q has no container, since it was prepared without --image; fill %q and commit it", r.ID, r.Artifacts())
	}
	trace.Name("", "pipex.run", r.ID, "pipex.step", m.StepID)
	p.Namespace, p.Snapshotter = m.Container.Namespace, m.Container.Snapshotter
	client, err := containerd.Connect(ctx, p.Containerd)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	x := &execution{Place: p, Options: opt, ws: ws, run: r, meta: m, client: client}
	x.unleased = opt.Once && m.Host != hostname()
	if !opt.Once {
		return x.do(ctx)
	}
	ctx, alive := x.live(ctx)
	defer alive()
	status, err := x.do(ctx)
	switch {
	case err == nil: // its task is removed
		x.Warning(client.RemoveRest(context.WithoutCancel(ctx), m.Container.ID))
	case x.mayRemove(err):
		x.Warning(client.Remove(context.WithoutCancel(ctx), m.Container.ID))
	}
	return status, err
}

// execution is the state of one call of Exec.
type execution struct {
	run.Place
	Options
	ws     *workspace.Workspace
	run    workspace.Run
	meta   *workspace.Meta
	client *containerd.Client
	caches []*workspace.Lock
	logs   []*follow.Follower
	// waiting says that the task was started; it may be running still.
	waiting bool
	// setup says that this executes the run's setup and not its command.
	setup bool
	// attached says that another exec, which died, has started the task.
	attached bool
	// complete says that the logs have all that the command wrote.
	complete bool
	// forwarded says that the command was sent a signal of the caller's.
	forwarded bool
	// spare is the file that becomes the record at the end; see [workspace.Workspace.Reserve].
	spare string
	// rescues are the streams whose logs take no more.
	rescues []*rescued
	// unleased says that this containerd has no lease for the run yet; else that is found out.
	unleased bool
	// group is the container's control group; empty for the default one.
	group string
	// unwanted is closed if the run has been given up or removed; nil without Once.
	unwanted chan struct{}
	// asked receives the signals that were asked for by a file of the run.
	asked chan os.Signal
	// view is what a draft is a view of; nil for a run.
	view *View
	// restore restores the state of the caller's terminal; nil if it was not changed.
	restore func()
}

func (x *execution) release() {
	if x.spare != "" {
		os.Remove(x.spare)
	}
	if x.restore != nil {
		x.restore()
	}
	for _, lock := range x.caches {
		lock.Release()
	}
}

// do attaches to the container of an exec that died, if it still runs. Else it runs the
// setup, unless it has succeeded before, and then the command.
func (x *execution) do(ctx context.Context) (int, error) {
	if len(x.meta.Execs) > 0 { // before the first exec is recorded, there is no task
		if err := x.executing(ctx); err != nil {
			return 0, err
		}
		if err := x.settle(ctx); err != nil {
			return 0, err
		}
		task, err := x.client.Attach(ctx, x.meta.Container.ID)
		if err != nil {
			return 0, err
		}
		if task != nil {
			status, err := x.attach(ctx, task)
			if err != nil || status != 0 || !x.record().Setup {
				return status, err
			}
		}
	}
	x.lost()
	if err := x.renew(ctx); err != nil {
		return 0, err
	}
	if len(x.Cmd) == 0 && x.meta.Setup != nil && !x.isSetUp(ctx) {
		if status, err := x.beginSetup().execute(ctx); err != nil || status != 0 {
			return status, err
		}
		x.unleased = false
	}
	return x.execute(ctx)
}

// isSetUp reports whether the run's setup has succeeded, since the machine was started.
func (x *execution) isSetUp(ctx context.Context) bool {
	return slices.ContainsFunc(x.meta.Execs, func(r workspace.Exec) bool {
		return r.Setup && r.ExitCode != nil && *r.ExitCode == 0 && !r.TimedOut && !x.restarted(ctx, &r)
	})
}

// beginSetup returns the execution of the setup that precedes x. It has no standard
// input and no terminal.
func (x *execution) beginSetup() *execution {
	before := &execution{Place: x.Place, Options: x.Options, ws: x.ws, run: x.run, meta: x.meta, client: x.client, setup: true, unwanted: x.unwanted, asked: x.asked, unleased: x.unleased}
	before.Stdin, before.Terminal, before.Network, before.Reap = nil, false, "", nil
	return before
}

// execute starts the command and waits for it.
func (x *execution) execute(ctx context.Context) (int, error) {
	defer x.release()
	if err := x.holdCaches(ctx); err != nil {
		return 0, err
	}
	task, err := x.start(ctx)
	if err != nil {
		return x.failed(err)
	}
	return x.finish(ctx, task)
}

// attach waits for the task of an exec that died. It passes on the whole output of the
// task, from the beginning: the reader of the dead exec's output is gone.
func (x *execution) attach(ctx context.Context, task *containerd.Task) (int, error) {
	if len(x.Cmd) > 0 {
		return 0, fmt.Errorf("run %q is executing a command whose pipex-exec died: pipex-exec %s attaches to it first", x.run.ID, x.run.ID)
	}
	x.Warning(fmt.Errorf("attaching to run %q, whose pipex-exec died", x.run.ID))
	ended := &execution{Place: x.Place, Options: x.Options, ws: x.ws, run: x.run, meta: x.meta, client: x.client, setup: x.record().Setup, attached: true, unwanted: x.unwanted, asked: x.asked}
	return ended.resume(ctx, task)
}

func (x *execution) resume(ctx context.Context, task *containerd.Task) (int, error) {
	defer x.release()
	if x.Stdin != nil && !x.setup {
		x.Warning(errors.New("no more standard input is passed on: it ended when pipex-exec died"))
	}
	if err := x.holdCaches(ctx); err != nil {
		return 0, err
	}
	if err := x.follow(); err != nil {
		return 0, err
	}
	if r := x.record(); r.FinishedAt != nil && r.ExitCode != nil {
		return x.leave(ctx, task) // the dead exec has recorded the end already
	}
	var err error
	x.spare, err = x.ws.ReserveAgain(x.run, x.meta)
	x.Warning(err)
	return x.finish(ctx, task)
}
