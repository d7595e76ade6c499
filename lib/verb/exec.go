package verb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"syscall"
	"time"

	"pipex/lib/container"
	"pipex/lib/network"
	"pipex/lib/step"
	"pipex/lib/workspace"
)

// Exec tells what to execute, and how.
type Exec struct {
	Place
	RunID string
	// Cmd replaces the prepared command this time only.
	Cmd []string
	// Network and Timeout replace the prepared ones this time only.
	Network step.Network
	Timeout time.Duration
	// Grace is how long a command that has timed out may take to end by itself.
	Grace time.Duration
	// LogMax is how many bytes of each log are kept this time, instead of the
	// prepared number.
	LogMax int64
	// Terminal gives the command one that follows the caller's: Stdin, or Stdout if
	// that is nil.
	Terminal bool
	// Stdin is the command's input; nil for none.
	Stdin *os.File
	// Stdout and Stderr receive what the command writes, as the logs do.
	Stdout, Stderr io.Writer
	// EnvProgram is a static program that calls [secret.Main]; needed for secrets
	// that are environment variables.
	EnvProgram string
	// Signals are forwarded to the command; a second SIGINT or SIGTERM kills
	// the container.
	Signals <-chan os.Signal
}

// DefaultGrace is how long a command may take to end when asked to.
const DefaultGrace = 10 * time.Second

// TimedOutCode is the status of an exec that timed out, as timeout(1)'s.
const TimedOutCode = 124

// Do runs the command of a prepared run in its container, any number of times
// on one writable layer, and returns its exit status: 128+N if signal N ended
// it, 124 if it timed out, 126 or 127 if there was no command to run. An error
// means that there is no such status; the run's record says what is known.
//
// An exec that was killed left its container running: Do attaches to that and
// runs nothing anew. Do holds the run's lock, and those of its exclusive
// caches, until the command has ended.
func (e Exec) Do(ctx context.Context) (int, error) {
	ws, err := e.open()
	if err != nil {
		return 0, err
	}
	run, lock, err := hold(ws, e.RunID, "exec")
	if err == nil && run.Committed {
		err = fmt.Errorf("run %q is %w; pipex-prepare makes a new one", e.RunID, workspace.ErrCommitted)
	}
	if err != nil {
		return 0, err
	}
	defer lock.Release()
	m, err := run.Meta()
	if err != nil {
		return 0, err
	}
	if m.Container == nil {
		return 0, fmt.Errorf("run %q has no container, since it was prepared without --image; fill %q and commit it", run.ID, run.Artifacts())
	}
	e.Namespace = m.Container.Namespace
	client, err := e.connect(ctx)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	client.Snapshotter = m.Container.Snapshotter
	x := &execution{Exec: e, ws: ws, run: run, meta: m, client: client}
	return x.do(ctx)
}

// execution is one Exec on its way.
type execution struct {
	Exec
	ws     *workspace.Workspace
	run    workspace.Run
	meta   *workspace.Meta
	client *container.Client
	caches []*workspace.Lock
	logs   []*container.Follower
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
	before := &execution{Exec: x.Exec, ws: x.ws, run: x.run, meta: x.meta, client: x.client, setup: true}
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
func (x *execution) attach(ctx context.Context, task *container.Task) (int, error) {
	if len(x.Cmd) > 0 {
		return 0, fmt.Errorf("run %q is executing a command whose pipex-exec died: pipex-exec %s attaches to it first", x.RunID, x.RunID)
	}
	x.warn(fmt.Errorf("attaching to run %q, whose pipex-exec died", x.RunID))
	ended := &execution{Exec: x.Exec, ws: x.ws, run: x.run, meta: x.meta, client: x.client, setup: x.record().Setup}
	return ended.resume(ctx, task)
}

func (x *execution) resume(ctx context.Context, task *container.Task) (int, error) {
	defer x.release()
	if x.Stdin != nil && !x.setup {
		x.warn(errors.New("its input has ended: there is no more to be passed on"))
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

// holdCaches takes the locks of the exclusive caches, in order of their names.
func (x *execution) holdCaches(ctx context.Context) error {
	var names []string
	for _, c := range x.cacheMounts() {
		if c.Exclusive {
			names = append(names, c.Name)
		}
	}
	sort.Strings(names)
	ctx, done := x.interruptible(ctx)
	defer done()
	for _, name := range names {
		lock, err := x.ws.HoldCache(ctx, name, "exec", x.warn)
		if cause := context.Cause(ctx); err != nil && cause != nil {
			return cause
		} else if err != nil {
			return err
		}
		x.caches = append(x.caches, lock)
	}
	return nil
}

// interruptible is a context that a signal ends, for what comes before there is
// a command to forward it to. done makes signals the command's again.
func (x *execution) interruptible(ctx context.Context) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	finished, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case sig := <-x.Signals:
			cancel(&InterruptedError{sig.(syscall.Signal)})
		case <-finished:
		}
	}()
	return ctx, func() {
		close(finished)
		<-stopped
		cancel(nil)
	}
}

// InterruptedError says that a signal ended an exec before its command began.
type InterruptedError struct{ Signal syscall.Signal }

func (e *InterruptedError) Error() string {
	return fmt.Sprintf("interrupted by a signal (%v) before the command began", e.Signal)
}

// start records a new exec and brings its command to run.
func (x *execution) start(ctx context.Context) (*container.Task, error) {
	term, err := x.openTerminal()
	if err != nil {
		return nil, err
	}
	cfg, err := x.config()
	if err != nil {
		return nil, err
	}
	if err := term.create(x.run, cfg); err != nil {
		return nil, err
	}
	if err := x.begin(cfg.Args); err != nil {
		return nil, err
	}
	if err := x.attachNetwork(ctx, cfg); err != nil {
		return nil, err
	}
	stdin, err := x.openStdin()
	if err != nil {
		return nil, err
	}
	defer stdin.unlink()
	cfg.Stdin = stdin.path()
	task, err := x.client.Create(ctx, *cfg)
	if err != nil {
		return nil, err
	}
	if err := x.follow(); err != nil {
		return nil, errors.Join(err, task.Delete(ctx))
	}
	x.restore = term.attach(ctx, task)
	if err := task.Start(ctx, cfg.Args); err != nil {
		return nil, err
	}
	stdin.copy(ctx, task)
	return task, nil
}

// follow begins to pass on what the last exec writes to its logs.
func (x *execution) follow() error {
	if x.record().Terminal {
		if err := x.followTerminal(); err != nil {
			return err
		}
	}
	for _, log := range []struct {
		path   string
		offset int64
		out    io.Writer
	}{
		{x.run.Stdout(), x.record().StdoutOffset, x.Stdout},
		{x.run.Stderr(), x.record().StderrOffset, x.Stderr},
	} {
		f, err := container.Follow(log.path, log.offset, keep(log.offset, x.record().LogMaxBytes), log.out)
		if err != nil {
			return fmt.Errorf("cannot follow %q: %w", filepath.Base(log.path), err)
		}
		x.logs = append(x.logs, f)
	}
	return nil
}

// keep is where a log that begins at offset is kept until.
func keep(offset, limit int64) int64 {
	if limit == 0 {
		return container.KeepAll
	}
	return offset + limit
}

// finish waits for the command, records how it ended, and removes the task. The
// record comes first: a task that is still there is one whose end nobody was
// told.
func (x *execution) finish(ctx context.Context, task *container.Task) (int, error) {
	x.waiting = true
	// From here on signals are the command's, and ours is to wait.
	ctx = context.WithoutCancel(ctx)
	exit, timedOut, err := x.wait(ctx, task)
	if err != nil {
		return x.failed(err)
	}
	for _, log := range x.logs {
		log.Ended()
	}
	code := exit.Code
	if timedOut {
		code = TimedOutCode
	}
	x.record().TimedOut = timedOut
	x.record().Usage = usage(task)
	if err := x.end(exit.At, &exit.Code, code); err != nil {
		return 0, err
	}
	return x.remove(ctx, task)
}

// remove removes a task whose end is recorded, passes on what is left of its
// logs, and returns its status.
func (x *execution) remove(ctx context.Context, task *container.Task) (int, error) {
	if err := task.Delete(ctx); err != nil {
		return 0, err
	}
	if err := network.Remove(ctx, x.meta.Container.ID); err != nil {
		return 0, err
	}
	for _, log := range x.logs {
		x.warn(log.Stop())
	}
	if err := x.cut(); err != nil {
		return 0, err
	}
	if x.record().TimedOut {
		return TimedOutCode, nil
	}
	return *x.record().ExitCode, nil
}

// wait waits for the task, forwards signals to it, and ends it when its time is
// up.
func (x *execution) wait(ctx context.Context, task *container.Task) (exit container.Exit, timedOut bool, err error) {
	type result struct {
		exit container.Exit
		err  error
	}
	ended := make(chan result, 1)
	go func() {
		exit, err := task.Wait(ctx)
		ended <- result{exit, err}
	}()
	timeout := x.timeout()
	var kill <-chan time.Time
	urgent := 0
	for {
		select {
		case r := <-ended:
			return r.exit, timedOut, r.err
		case <-timeout:
			timedOut, timeout = true, nil
			kill = time.After(x.Grace)
			x.warn(task.Signal(ctx, syscall.SIGTERM))
		case <-kill:
			x.warn(task.Kill(ctx))
		case sig := <-x.Signals:
			if sig == syscall.SIGINT || sig == syscall.SIGTERM {
				urgent++
			}
			if urgent > 1 {
				x.warn(task.Kill(ctx))
			} else if s, ok := sig.(syscall.Signal); ok {
				x.warn(task.Signal(ctx, s))
			}
		}
	}
}

// timeout fires when the command's time is up, counted from when it started,
// also for an exec that attached later.
func (x *execution) timeout() <-chan time.Time {
	limit := x.Timeout
	if limit == 0 {
		limit = time.Duration(x.meta.TimeoutMs) * time.Millisecond
	}
	if limit == 0 {
		return nil
	}
	return time.After(time.Until(x.record().StartedAt.Add(limit)))
}
