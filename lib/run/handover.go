package run

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"pipex/lib/workspace"
)

// HandOver leaves a note of what a run owns in containerd, for a reaper or the next prune to
// remove: with task only its container, else everything. The caller holds the run's lock.
// Afterwards it rings for a reaper; see [Ring].
func HandOver(p Place, ws *workspace.Workspace, id string, c *workspace.Container, task bool) error {
	at := p.Containerd.WithDefaults()
	address, err := filepath.Abs(at.Socket())
	if err != nil {
		return err
	}
	return ws.LeaveNote(workspace.Note{
		Run: id, Task: task, ID: c.ID, Address: address, Namespace: c.Namespace, Snapshotter: c.Snapshotter, Patience: at.Patience,
	})
}

// HoldContainer takes the lock of a run's container; see [workspace.Workspace.HoldContainer].
// It waits for it as long as containerd may take for one call.
func HoldContainer(ctx context.Context, p Place, ws *workspace.Workspace, id string) (*workspace.Lock, error) {
	at := p.Containerd.WithDefaults()
	waiting, cancel := context.WithTimeout(ctx, at.Patience)
	defer cancel()
	lock, err := ws.HoldContainer(waiting, id)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = fmt.Errorf("cannot remove the former container of run %q: another process has been removing it for %s; containerd at %q may hang", id, at.Patience, at.Socket())
	}
	return lock, err
}
