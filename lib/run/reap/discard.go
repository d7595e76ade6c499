// Package reap discards open runs and prunes what nothing refers to, in the workspace
// and in containerd.
package reap

import (
	"context"
	"errors"
	"fmt"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/network"
	"pipex/lib/run"
	"pipex/lib/workspace"
)

// Discard removes an open run: it kills the container, removes what the run owns in
// containerd, and then removes its directory. If the run does not exist, Discard does
// nothing. For a committed run the error wraps [workspace.ErrCommitted]; if another
// process holds the run, it is a [*workspace.BusyError]. Discard takes the run's lock.
func Discard(ctx context.Context, p run.Place, id string) error {
	ws, err := p.Open()
	if err != nil {
		return err
	}
	r, lock, err := run.HoldOpen(ws, id, "discard", "pipex-prune removes it once nothing refers to it")
	if errors.Is(err, workspace.ErrNoRun) {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.Release()
	return Held(ctx, p, ws, r)
}

// Held removes both halves of an open run or a draft whose lock the caller holds.
func Held(ctx context.Context, p run.Place, ws *workspace.Workspace, r workspace.Run) error {
	m, err := r.Meta()
	if err != nil {
		// Prune finds its objects in containerd, if any, by their labels.
		p.Warning(err)
	} else if c := m.Container; c != nil {
		p.Namespace, p.Snapshotter = c.Namespace, c.Snapshotter
		client, err := containerd.Connect(ctx, p.Containerd)
		if err == nil {
			defer client.Close()
			err = remove(ctx, client, c.ID)
		}
		if err != nil {
			return fmt.Errorf("cannot discard run %q: %w", r.ID, err)
		}
	}
	return ws.Discard(r)
}

// remove removes everything that a run owns outside its workspace.
func remove(ctx context.Context, client *containerd.Client, id string) error {
	if err := client.Remove(ctx, id); err != nil {
		return err
	}
	return network.Remove(ctx, id)
}
