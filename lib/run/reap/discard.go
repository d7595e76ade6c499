// Package reap removes what runs own in containerd, and prunes what nothing refers to.
package reap

import (
	"context"
	"fmt"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/network"
	"pipex/lib/run"
	"pipex/lib/workspace"
)

// Discard is [run.Discard], and then removes what the run owns in containerd. If that fails, it
// calls p.Warn, and prune removes it later.
func Discard(ctx context.Context, p run.Place, id string) error {
	left, err := run.Discard(ctx, p, id, func(ctx context.Context, id string) error { return End(ctx, p, id) })
	if err == nil && left {
		p.Warning(WorkOn(ctx, p, id))
	}
	return err
}

// End kills the container of an open run, whatever it does, and removes all that the run owns in
// containerd. The caller, or the process that has started it, holds the run's lock and is
// going to discard the run. End takes the lock of the run's container.
func End(ctx context.Context, p run.Place, id string) error {
	ws, err := p.Open()
	if err != nil {
		return err
	}
	r, err := ws.OpenRun(id)
	if err != nil {
		return err
	}
	m, err := r.Meta()
	if err != nil || m.Container == nil {
		return err
	}
	return end(ctx, p, ws, r, m.Container)
}

// Held removes both halves of an open run or a draft whose lock the caller holds.
func Held(ctx context.Context, p run.Place, ws *workspace.Workspace, r workspace.Run) error {
	m, err := r.Meta()
	if err != nil {
		// Prune finds its objects in containerd, if any, by their labels.
		p.Warning(err)
	} else if m.Container != nil {
		if err := end(ctx, p, ws, r, m.Container); err != nil {
			return fmt.Errorf("cannot discard run %q: %w", r.ID, err)
		}
	}
	return ws.Discard(r)
}

func end(ctx context.Context, p run.Place, ws *workspace.Workspace, r workspace.Run, c *workspace.Container) error {
	client, err := containerd.Connect(ctx, at(p, c).Containerd)
	if err != nil {
		return err
	}
	defer client.Close()
	lock, err := run.HoldContainer(ctx, p, ws, r.ID)
	if err != nil {
		return err
	}
	defer lock.Release()
	if err := remove(ctx, client, c.ID); err != nil {
		return err
	}
	return ws.DropNotes(r.ID)
}

// remove removes everything that a run owns outside its workspace.
func remove(ctx context.Context, client *containerd.Client, id string) error {
	if err := client.Remove(ctx, id); err != nil {
		return err
	}
	return network.Remove(ctx, id)
}
