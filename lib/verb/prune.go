package verb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"pipex/lib/container"
	"pipex/lib/network"
	"pipex/lib/workspace"
)

// Prune tells what to reclaim.
type Prune struct {
	Place
	workspace.PruneOptions
	// Staging reclaims abandoned open runs too: those that no process holds or
	// has claimed, that run no task, and that are older than OlderThan.
	Staging bool
}

// Do removes what nothing refers to, in both halves, and calls report with the
// id of each run that is gone (or would be, for a dry run). Committed runs go
// as [workspace.Workspace.Prune] says, and what containerd holds for a run that
// is no longer open goes too. Without a containerd the workspace's half is
// pruned all the same, and p.Warn is told.
//
// It takes the workspace lock, alone, and the lock of each run it removes.
func (p Prune) Do(ctx context.Context, report func(id string)) error {
	ws, err := p.open()
	if err != nil {
		return err
	}
	client, err := p.connect(ctx)
	if err != nil {
		client = nil
		p.warn(fmt.Errorf("containerd's half is left for the next time: %w", err))
	} else {
		defer client.Close()
	}
	if p.Staging {
		if err := p.staging(ctx, ws, client, report); err != nil {
			return err
		}
	}
	if err := ws.Prune(ctx, p.PruneOptions, report); err != nil {
		return err
	}
	if client == nil || p.DryRun {
		return nil
	}
	if err := p.objects(ctx, ws, client); err != nil {
		return err
	}
	if err := client.DropFetches(ctx); err != nil {
		return err
	}
	if p.Staging {
		return p.shims(ctx, ws, client)
	}
	return nil
}

// staging discards the open runs that are abandoned.
func (p Prune) staging(ctx context.Context, ws *workspace.Workspace, client *container.Client, report func(string)) error {
	runs, err := ws.OpenRuns()
	if err != nil {
		return err
	}
	for _, run := range runs {
		gone, err := p.abandoned(ctx, ws, client, run)
		if err != nil {
			return err
		}
		if gone {
			report(run.ID)
		}
	}
	return nil
}

// abandoned discards one open run if nobody needs it, and tells whether it did.
func (p Prune) abandoned(ctx context.Context, ws *workspace.Workspace, client *container.Client, run workspace.Run) (bool, error) {
	run, lock, err := hold(ws, run.ID, "prune")
	var busy *workspace.BusyError
	if errors.As(err, &busy) {
		p.warn(fmt.Errorf("passed over: %w", err))
		return false, nil
	}
	if errors.Is(err, workspace.ErrNoRun) {
		return false, nil
	}
	if err != nil || run.Committed {
		return false, err
	}
	defer lock.Release()
	if age(run) < p.OlderThan || ws.Claimed(run.ID) {
		return false, nil
	}
	if m, err := run.Meta(); err == nil && m.Container != nil {
		if client == nil {
			return false, nil // its task may be running
		}
		running, err := client.Running(ctx, m.Container.ID)
		if err != nil || running {
			return false, err
		}
	}
	if p.DryRun {
		return true, nil
	}
	return true, p.discard(ctx, ws, run)
}

// age is how long ago an open run's record was last written.
func age(run workspace.Run) time.Duration {
	info, err := os.Stat(run.Dir)
	if err != nil {
		return 0
	}
	return time.Since(info.ModTime())
}

// objects drops what containerd holds for this workspace's runs that are not
// open: left by a prepare or a commit that did not come to its end. A prepare
// that is still on its way holds the run's lock.
func (p Prune) objects(ctx context.Context, ws *workspace.Workspace, client *container.Client) error {
	owned, err := client.Owned(ctx, ws.Root)
	if err != nil {
		return err
	}
	for _, object := range owned {
		if err := p.object(ctx, ws, client, object); err != nil {
			return err
		}
	}
	return nil
}

func (p Prune) object(ctx context.Context, ws *workspace.Workspace, client *container.Client, object container.Object) error {
	if _, err := ws.OpenRun(object.Run); err == nil {
		return nil
	}
	// A prepare or a discard may be on its way: look again when it is not.
	lock, err := ws.HoldRun(object.Run, "prune")
	var busy *workspace.BusyError
	if errors.As(err, &busy) {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.Release()
	if _, err := ws.OpenRun(object.Run); err == nil {
		return nil
	}
	return release(ctx, client, object.ID)
}

// shims ends the shims that a client killed inside the creation of a task left:
// those whose container is gone, and those of this workspace's runs that nobody
// holds and that containerd knows no task of. Another process may be inside that
// creation right now; it holds the run's lock, and its container is there.
func (p Prune) shims(ctx context.Context, ws *workspace.Workspace, client *container.Client) error {
	// containerd may be about to start one: look until there is none.
	for again := true; again; {
		shims, err := client.Shims(ctx)
		again = false
		for _, s := range shims {
			if err != nil {
				break
			}
			var ended bool
			ended, err = p.shim(ctx, ws, client, s)
			again = again || ended
		}
		if err != nil {
			return err
		}
	}
	return p.leftovers(ctx, ws, client)
}

func (p Prune) shim(ctx context.Context, ws *workspace.Workspace, client *container.Client, s container.Shim) (bool, error) {
	if s.Run != "" {
		if s.Workdir != ws.Root {
			return false, nil
		}
		lock, err := ws.HoldRun(s.Run, "prune")
		var busy *workspace.BusyError
		if errors.As(err, &busy) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		defer lock.Release()
	}
	return client.EndShim(ctx, s)
}

// leftovers removes the control groups and networks of this workspace's runs that
// are not open. They are listed first: a run that is opened meanwhile has none
// among them.
func (p Prune) leftovers(ctx context.Context, ws *workspace.Workspace, client *container.Client) error {
	all, err := client.Cgroups(ws.Root)
	if err != nil {
		return err
	}
	networks := slices.DeleteFunc(network.List(), func(id string) bool { return !container.Belongs(id, ws.Root) })
	if len(all) == 0 && len(networks) == 0 {
		return nil
	}
	runs, err := ws.OpenRuns()
	if err != nil {
		return err
	}
	open := map[string]bool{}
	for _, run := range runs {
		open[owner(ws, run.ID, "").NewID()] = true
	}
	for _, g := range all {
		if !open[g.ID] {
			if err := g.Reap(); err != nil {
				return err
			}
		}
	}
	for _, id := range networks {
		if !open[id] {
			if err := network.Remove(ctx, id); err != nil {
				return err
			}
		}
	}
	return nil
}
