// Package reap gives back what runs own: it discards open runs, and prunes what nothing
// refers to, in the workspace and in containerd together.
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

// Discard removes an open run as if it had never been prepared: its container is
// killed, what it owns in containerd is removed, then its directory. A run that is
// gone is success; a committed one is refused with [workspace.ErrCommitted], one that
// a process holds with a [*workspace.BusyError]. It holds the run's lock.
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
	return discard(ctx, p, ws, r)
}

// discard removes both halves of a run whose lock the caller holds.
func discard(ctx context.Context, p run.Place, ws *workspace.Workspace, r workspace.Run) error {
	m, err := r.Meta()
	if err != nil {
		// Its objects in containerd, if any, are found by their labels: see Prune.
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

// remove removes all that a run owns outside of its workspace.
func remove(ctx context.Context, client *containerd.Client, id string) error {
	if err := client.Remove(ctx, id); err != nil {
		return err
	}
	return network.Remove(ctx, id)
}
