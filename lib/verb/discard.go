package verb

import (
	"context"
	"errors"
	"fmt"

	"pipex/lib/container"
	"pipex/lib/network"
	"pipex/lib/workspace"
)

// Discard forgets an open run as if it had never been prepared: its container
// is killed, what it owns in containerd is dropped, its directory removed. A
// run that is gone is success; a committed one is refused with
// [workspace.ErrCommitted], one that a process holds with a
// [*workspace.BusyError]. It holds the run's lock.
func (p Place) Discard(ctx context.Context, id string) error {
	ws, err := p.open()
	if err != nil {
		return err
	}
	run, lock, err := hold(ws, id, "discard")
	if errors.Is(err, workspace.ErrNoRun) {
		return nil
	}
	if err == nil && run.Committed {
		err = fmt.Errorf("run %q is %w; pipex-prune removes it once nothing refers to it", id, workspace.ErrCommitted)
	}
	if err != nil {
		return err
	}
	defer lock.Release()
	return p.discard(ctx, ws, run)
}

// discard removes both halves of a run whose lock the caller holds.
func (p Place) discard(ctx context.Context, ws *workspace.Workspace, run workspace.Run) error {
	m, err := run.Meta()
	if err != nil {
		// Its container half, if any, is found by its labels: see Prune.
		p.warn(err)
	} else if m.Container != nil {
		if err := p.releaseObject(ctx, m.Container); err != nil {
			return fmt.Errorf("cannot discard run %q: %w", run.ID, err)
		}
	}
	return ws.Discard(run)
}

func (p Place) releaseObject(ctx context.Context, c *workspace.Container) error {
	client, err := container.Connect(ctx, p.Address, c.Namespace)
	if err != nil {
		return err
	}
	defer client.Close()
	client.Snapshotter = c.Snapshotter
	return release(ctx, client, c.ID)
}

// release drops all that a run owns outside of its workspace.
func release(ctx context.Context, client *container.Client, id string) error {
	if err := client.Release(ctx, id); err != nil {
		return err
	}
	return network.Remove(ctx, id)
}
