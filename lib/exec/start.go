package exec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"syscall"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/follow"
	"pipex/lib/internal/oci"
)

// start records a new exec, creates its container and starts the command.
func (x *execution) start(ctx context.Context) (*containerd.Task, error) {
	term, err := x.openTerminal()
	if err != nil {
		return nil, err
	}
	c, err := x.container()
	if err != nil {
		return nil, err
	}
	if err := term.create(x.run, c); err != nil {
		return nil, err
	}
	if err := x.begin(c.Args); err != nil {
		return nil, err
	}
	if err := x.attachNetwork(ctx, c); err != nil {
		return nil, err
	}
	stdin, err := x.openStdin()
	if err != nil {
		return nil, err
	}
	defer stdin.unlink()
	c.Stdin = stdin.path()
	task, err := oci.Create(ctx, x.client, c)
	if err != nil {
		return nil, err
	}
	if err := x.follow(); err != nil {
		return nil, errors.Join(err, task.Delete(ctx))
	}
	x.restore = term.attach(ctx, task)
	if err := task.Start(ctx, c.Args); err != nil {
		return nil, err
	}
	stdin.copy(ctx, task)
	return task, nil
}

// follow starts to copy to the caller what the current exec writes to the logs.
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
		f, err := follow.Start(log.path, log.offset, keep(log.offset, x.record().LogMaxBytes), log.out)
		if err != nil {
			return fmt.Errorf("cannot follow %q: %w", filepath.Base(log.path), err)
		}
		x.logs = append(x.logs, f)
	}
	return nil
}

// keep returns the offset up to which a log that begins at offset is kept.
func keep(offset, limit int64) int64 {
	if limit == 0 {
		return follow.KeepAll
	}
	return offset + limit
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
	ctx, done := Interruptible(ctx, x.Signals)
	defer done()
	for _, name := range names {
		lock, err := x.ws.HoldCache(ctx, name, "exec", x.Warning)
		if cause := context.Cause(ctx); err != nil && cause != nil {
			return cause
		} else if err != nil {
			return err
		}
		x.caches = append(x.caches, lock)
	}
	return nil
}

// Interruptible returns a context that a signal ends, for the time before there is a
// command to forward signals to. The cause is an [*InterruptedError]. After done, signals
// no longer end it.
func Interruptible(ctx context.Context, signals <-chan os.Signal) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	finished, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case sig := <-signals:
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
