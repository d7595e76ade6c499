package exec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"syscall"

	"github.com/containerd/containerd/errdefs"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/follow"
	"pipex/lib/internal/oci"
	"pipex/lib/workspace"
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
	written := make(chan error, 1)
	go func() { written <- x.write() }()
	c.Recorded = sync.OnceValue(func() error { return <-written })
	defer c.Recorded() // after an error, too: the caller writes the record again
	if err := x.attachNetwork(ctx, c); err != nil {
		return nil, err
	}
	stdin, err := x.openStdin()
	if err != nil {
		return nil, err
	}
	defer stdin.unlink()
	c.Stdin = stdin.path()
	var task *containerd.Task
	if !x.unleased {
		task, err = oci.Create(ctx, x.client, c)
	}
	if task == nil && (err == nil || errdefs.IsNotFound(err)) { // no lease, or no image
		if err = x.lease(ctx); err == nil {
			task, err = oci.Create(ctx, x.client, c)
		}
	}
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
	if len(names) == 0 {
		return nil // a signal that has arrived already is the command's
	}
	sort.Strings(names)
	waiting, done := Interruptible(ctx, x.Signals)
	var failed error
	for _, name := range names {
		var lock *workspace.Lock
		if lock, failed = x.ws.HoldCache(waiting, name, "exec", x.Warning); failed != nil {
			break
		}
		x.caches = append(x.caches, lock)
	}
	if err := done(); err != nil {
		return err
	}
	return failed
}

// Interruptible returns a context that a signal ends, for the time before there is a
// command to forward signals to. After done, signals no longer end it. If one has, done
// returns an [*InterruptedError]: the caller must end then, even if it has got all that it
// wanted, since nobody else sees that signal.
func Interruptible(ctx context.Context, signals <-chan os.Signal) (_ context.Context, done func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var interrupted error
	finished, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case sig := <-signals:
			interrupted = &InterruptedError{sig.(syscall.Signal)}
			cancel()
		case <-finished:
		}
	}()
	return ctx, func() error {
		close(finished)
		<-stopped
		cancel()
		return interrupted
	}
}

// InterruptedError says that a signal ended an exec before its command began.
type InterruptedError struct{ Signal syscall.Signal }

func (e *InterruptedError) Error() string {
	return fmt.Sprintf("interrupted by a signal (%v) before the command began", e.Signal)
}
