package reap

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/containerd/containerd/errdefs"
	"golang.org/x/sync/errgroup"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/endpoint"
	"pipex/lib/internal/network"
	"pipex/lib/internal/trace"
	"pipex/lib/run"
	"pipex/lib/workspace"
)

// Work removes from containerd what the notes of the workspace say; see [run.HandOver]. A
// note whose work fails stays, and the errors are returned. If another process is working on
// a note, Work waits for it. Work takes the lock of each container.
func Work(ctx context.Context, p run.Place) error {
	ws, err := p.Open()
	if err != nil {
		return err
	}
	w := newWorker(p, ws)
	defer w.close()
	return errors.Join(w.work(ctx)...)
}

// WorkOn is Work for the notes of one run.
func WorkOn(ctx context.Context, p run.Place, id string) error {
	ws, err := p.Open()
	if err != nil {
		return err
	}
	w := newWorker(p, ws)
	defer w.close()
	return w.run(ctx, id)
}

// Serve works off the notes of the workspace, as a reaper that [run.Ring] finds, until it has
// had nothing to do for linger. It returns at once if there is a reaper already. A note whose
// work fails is left for prune. Serve keeps no file of the workspace open while it waits, and
// creates nothing in it.
func Serve(ctx context.Context, p run.Place, linger time.Duration) error {
	ws, err := p.Open()
	if err != nil {
		return err
	}
	w := newWorker(p, ws)
	w.failed = map[workspace.Note]bool{}
	defer w.close()
	for {
		bell, err := run.Listen(ws)
		if err != nil && run.Ring(ws) {
			return nil // its reaper has yet to look at the notes that were left so far
		}
		if err != nil {
			return errors.Join(w.work(ctx)...)
		}
		for more := true; ctx.Err() == nil && more; {
			time.Sleep(gather)
			w.work(ctx)
			_, part := trace.Start(ctx, "wait for more to do")
			more = bell.Rung(ctx, linger)
			part.End()
		}
		bell.Close()
		if left, err := w.left(); err != nil || len(left) == 0 || ctx.Err() != nil {
			return err
		}
	}
}

// othersAge is the age of a note for another machine that has most likely gone for good. If it comes
// back, its own prune finds the objects by their labels.
const othersAge = 24 * time.Hour

// forgetUnreachable drops the notes of runs that are committed or gone whose containerd is not
// there: it was another one, whose own prune finds the objects by their labels, or the caller
// has found them just now.
func forgetUnreachable(ctx context.Context, p run.Place, ws *workspace.Workspace) error {
	w := newWorker(p, ws)
	defer w.close()
	notes, err := ws.Notes()
	for _, n := range notes {
		if err != nil {
			break
		}
		if of, bad := ws.ReadNote(n); bad == nil && !of.Here() {
			err = ws.DropOld(n, othersAge)
			continue
		}
		if n.Task {
			continue
		}
		if gone := w.run(ctx, n.Run); !errors.Is(gone, containerd.ErrUnreachable) {
			continue
		}
		var lock *workspace.Lock
		if lock, err = run.HoldContainer(ctx, p, ws, n.Run); err == nil {
			err = ws.DropNote(n)
			lock.Release()
		}
	}
	return err
}

// gather is how long a reaper waits before it works off a note: a script commits a run soon
// after it has executed it, and then the container goes together with all the rest, while
// nobody needs the processors as much.
const gather = 50 * time.Millisecond

// worker works off notes.
type worker struct {
	run.Place
	ws *workspace.Workspace
	// failed are the notes that are left to others; nil to try each again.
	failed  map[workspace.Note]bool
	mu      sync.Mutex
	clients map[endpoint.Containerd]*containerd.Client
	// silent are the containerds that have not answered, with the error: one that hangs is
	// waited for once and not for each note.
	silent map[*containerd.Client]error
}

func newWorker(p run.Place, ws *workspace.Workspace) *worker {
	return &worker{Place: p, ws: ws, clients: map[endpoint.Containerd]*containerd.Client{}, silent: map[*containerd.Client]error{}}
}

func (w *worker) close() {
	for _, client := range w.clients {
		client.Close()
	}
}

// client returns a client of the containerd that a note names.
func (w *worker) client(ctx context.Context, n workspace.Note) (*containerd.Client, error) {
	at := w.Containerd
	at.Address, at.Namespace, at.Snapshotter, at.Patience = n.Address, n.Namespace, n.Snapshotter, n.Patience
	w.mu.Lock()
	defer w.mu.Unlock()
	if client := w.clients[at]; client != nil {
		return client, w.silent[client]
	}
	client, err := containerd.Connect(ctx, at)
	if err == nil {
		w.clients[at] = client
	}
	return client, err
}

// left returns the notes that are still to be worked off.
func (w *worker) left() ([]workspace.Note, error) {
	notes, err := w.ws.Notes()
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(notes, func(n workspace.Note) bool { return w.failed[n] }), err
}

// abreast is how many runs are worked on at once if n are left. One waits for containerd most of
// the time, and more would take the processors from steps that run. But of many steps side by side
// two would fall behind, and all the longer would the shims of the others stay.
func abreast(n int) int { return min(max(2, n/4), 8) }

// work works off all notes, and returns the error of each run, or nil.
func (w *worker) work(ctx context.Context) []error {
	clear(w.silent)
	notes, err := w.left()
	if err != nil {
		return []error{err}
	}
	notes = slices.CompactFunc(notes, func(a, b workspace.Note) bool { return a.Run == b.Run })
	var g errgroup.Group
	g.SetLimit(abreast(len(notes)))
	errs := make([]error, len(notes))
	for i, n := range notes {
		g.Go(func() error {
			if errs[i] = w.run(ctx, n.Run); errs[i] != nil && w.failed != nil {
				w.mu.Lock()
				w.failed[n] = true
				w.mu.Unlock()
			}
			return nil
		})
	}
	g.Wait()
	return errs
}

// run works off the notes of one run, which may be gone.
func (w *worker) run(ctx context.Context, id string) error {
	ctx, part := trace.Start(ctx, "reap", id)
	defer part.End()
	lock, err := run.HoldContainer(ctx, w.Place, w.ws, id)
	if err != nil {
		return err
	}
	defer lock.Release()
	var ended bool
	for _, n := range []workspace.Note{{Run: id, Task: true}, {Run: id}} {
		n, err := w.ws.ReadNote(n)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if errors.Is(err, fs.ErrPermission) {
			return err // another user's
		}
		if err == nil && !n.Here() {
			continue
		}
		if err == nil { // else it is damaged, and prune finds the objects by their labels
			if err := w.note(ctx, n, ended); err != nil {
				return err
			}
			ended = n.Task
		}
		if err := w.ws.DropNote(n); err != nil {
			return err
		}
	}
	return nil
}

// note removes what a note says; ended says that the run's container is removed already. The
// caller holds the lock of the container.
func (w *worker) note(ctx context.Context, n workspace.Note, ended bool) (err error) {
	if _, err := w.ws.OpenRun(n.Run); err == nil && !n.Task {
		return nil // prepared again since
	}
	client, err := w.client(ctx, n)
	if err != nil {
		return err
	}
	defer func() {
		if errdefs.IsUnavailable(err) {
			w.mu.Lock()
			w.silent[client] = err
			w.mu.Unlock()
		}
	}()
	switch {
	case n.Task:
		return client.RemoveEnded(ctx, n.ID)
	case ended:
		if err := client.RemoveRest(ctx, n.ID); err != nil {
			return err
		}
		return network.Remove(ctx, n.ID)
	}
	return remove(ctx, client, n.ID)
}
