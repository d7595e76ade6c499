package run

import (
	"context"
	"errors"
	"fmt"

	"pipex/lib/workspace"
)

// Discard removes an open run. If its container may still be running, end is called first,
// with the run's lock held: it kills the container and removes all that the run owns in
// containerd. Else what the run owns is handed over; left reports that, and the caller rings
// for a reaper. If the run does not exist, Discard does nothing. For a committed run the error
// wraps [workspace.ErrCommitted]; if another process holds the run, it is a
// [*workspace.BusyError]. Discard takes the run's lock.
func Discard(ctx context.Context, p Place, id string, end func(ctx context.Context, id string) error) (left bool, err error) {
	ws, err := p.Open()
	if err != nil {
		return false, err
	}
	r, lock, err := HoldOpen(ws, id, "discard", "pipex-prune removes it once nothing refers to it")
	if errors.Is(err, workspace.ErrNoRun) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer lock.Release()
	m, err := r.Meta()
	if err != nil {
		// Prune finds its objects in containerd, if any, by their labels.
		p.Warning(err)
		return false, ws.Discard(r)
	}
	if m.Container != nil && m.MayRun() {
		if err := end(ctx, id); err != nil {
			return false, fmt.Errorf("cannot discard run %q: %w", id, err)
		}
		m.Container = nil
	}
	if err := ws.Discard(r); err != nil || m.Container == nil {
		return false, err
	}
	// If that fails, prune finds the objects by their labels.
	return HandOver(p, ws, id, m.Container, false) == nil, nil
}
