// Package exec does: it runs the command of a prepared run in its container, any number
// of times on one writable layer, and records how it ended.
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
	"pipex/lib/internal/follow"
	"pipex/lib/internal/secret"
	"pipex/lib/run"
	"pipex/lib/step"
	"pipex/lib/workspace"
)

// Options say what to execute, and how. The zero value runs the prepared command without
// input, and discards what it writes, which is in the logs anyway.
type Options struct {
	// Cmd replaces the prepared command this time only.
	Cmd []string
	// Network and Timeout replace the prepared ones this time only.
	Network step.Network
	Timeout time.Duration
	// Grace is how long a command that has timed out may take to end by itself;
	// [DefaultGrace] if it is zero, and no time if it is negative.
	Grace time.Duration
	// LogMax is how many bytes of each log are kept this time, instead of the
	// prepared number.
	LogMax int64
	// Terminal gives the command a terminal that follows the caller's, which is Stdin,
	// or Stdout if that is nil.
	Terminal bool
	// Stdin is the command's input; nil for none.
	Stdin *os.File
	// Stdout and Stderr receive what the command writes, as the logs do; nil
	// discards it.
	Stdout, Stderr io.Writer
	// Lookup finds the value of an environment variable, for secrets that come from
	// one; nil finds none.
	Lookup func(string) (string, bool)
	// EnvProgram is a static program that calls [SecretProgram] first; needed for
	// secrets that are to be environment variables.
	EnvProgram string
	// Signals are forwarded to the command; a second SIGINT or SIGTERM kills
	// the container. It may be nil.
	Signals <-chan os.Signal
}

// DefaultGrace is how long a command may take to end when asked to.
const DefaultGrace = 10 * time.Second

// TimedOutCode is the status of an exec that timed out, as timeout(1)'s.
const TimedOutCode = 124

// SecretProgram does not return if the process was started inside a container to make
// environment variables of secrets: it becomes the command. A main program that is
// its own EnvProgram calls it first.
func SecretProgram() {
	if os.Args[0] == secret.Program {
		secret.Main(os.Args[1:])
	}
}

// Exec runs the command of the prepared run id and returns its exit status: 128+N if
// signal N ended it, 124 if it timed out, 126 or 127 if there was no command to run. An
// error means that there is no such status; the run's record says what is known.
//
// An exec that was killed left its container running: Exec attaches to that and runs
// nothing anew. Exec holds the run's lock, and those of its exclusive caches, until the
// command has ended.
//
// ctx ends waiting for caches and the start of the command. Once the command runs, ctx
// is ignored: a command ends by itself, by its timeout or by a signal.
func Exec(ctx context.Context, p run.Place, id string, opt Options) (int, error) {
	ws, err := p.Open()
	if err != nil {
		return 0, err
	}
	r, lock, err := run.HoldOpen(ws, id, "exec", "pipex-prepare makes a new one")
	if err != nil {
		return 0, err
	}
	defer lock.Release()
	m, err := r.Meta()
	if err != nil {
		return 0, err
	}
	if m.Container == nil {
		return 0, fmt.Errorf("run %q has no container, since it was prepared without --image; fill %q and commit it", r.ID, r.Artifacts())
	}
	switch {
	case opt.Grace == 0:
		opt.Grace = DefaultGrace
	case opt.Grace < 0:
		opt.Grace = 0
	}
	p.Namespace, p.Snapshotter = m.Container.Namespace, m.Container.Snapshotter
	client, err := containerd.Connect(ctx, p.Containerd)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	x := &execution{Place: p, Options: opt, ws: ws, run: r, meta: m, client: client}
	return x.do(ctx)
}

// execution is one Exec on its way.
type execution struct {
	run.Place
	Options
	ws     *workspace.Workspace
	run    workspace.Run
	meta   *workspace.Meta
	client *containerd.Client
	caches []*workspace.Lock
	logs   []*follow.Follower
	// waiting says that there is a task, as far as is known.
	waiting bool
	// setup says that it is the run's setup, and not its command.
	setup bool
	// restore makes the caller's terminal what it was.
	restore func()
}

func (x *execution) release() {
	if x.restore != nil {
		x.restore()
	}
	for _, lock := range x.caches {
		lock.Release()
	}
}

// do finishes what an exec that died left, runs the setup unless it has succeeded
// before, and then the command.
func (x *execution) do(ctx context.Context) (int, error) {
	task, err := x.client.Attach(ctx, x.meta.Container.ID)
	if err != nil {
		return 0, err
	}
	if task != nil && len(x.meta.Execs) > 0 {
		status, err := x.attach(ctx, task)
		if err != nil || status != 0 || !x.record().Setup {
			return status, err
		}
	}
	x.lost()
	if len(x.Cmd) == 0 && x.meta.Setup != nil && !x.isSetUp() {
		if status, err := x.beginSetup().execute(ctx); err != nil || status != 0 {
			return status, err
		}
	}
	return x.execute(ctx)
}

// isSetUp tells whether the run's setup has succeeded.
func (x *execution) isSetUp() bool {
	return slices.ContainsFunc(x.meta.Execs, func(r workspace.Exec) bool {
		return r.Setup && r.ExitCode != nil && *r.ExitCode == 0 && !r.TimedOut
	})
}

// beginSetup is the setup before x: nobody types to it.
func (x *execution) beginSetup() *execution {
	before := &execution{Place: x.Place, Options: x.Options, ws: x.ws, run: x.run, meta: x.meta, client: x.client, setup: true}
	before.Stdin, before.Terminal, before.Network = nil, false, ""
	return before
}

// execute runs a command that nobody has begun.
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

// attach takes up a task whose exec died. All it wrote is told from its
// beginning: whoever was told before is gone.
func (x *execution) attach(ctx context.Context, task *containerd.Task) (int, error) {
	if len(x.Cmd) > 0 {
		return 0, fmt.Errorf("run %q is executing a command whose pipex-exec died: pipex-exec %s attaches to it first", x.run.ID, x.run.ID)
	}
	x.Warning(fmt.Errorf("attaching to run %q, whose pipex-exec died", x.run.ID))
	ended := &execution{Place: x.Place, Options: x.Options, ws: x.ws, run: x.run, meta: x.meta, client: x.client, setup: x.record().Setup}
	return ended.resume(ctx, task)
}

func (x *execution) resume(ctx context.Context, task *containerd.Task) (int, error) {
	defer x.release()
	if x.Stdin != nil && !x.setup {
		x.Warning(errors.New("its input has ended: there is no more to be passed on"))
	}
	if err := x.holdCaches(ctx); err != nil {
		return 0, err
	}
	if err := x.follow(); err != nil {
		return 0, err
	}
	if r := x.record(); r.FinishedAt != nil && r.ExitCode != nil {
		return x.remove(ctx, task) // it came to its end, but for this
	}
	return x.finish(ctx, task)
}
