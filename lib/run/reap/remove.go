package reap

import (
	"context"
	"fmt"

	"pipex/lib/internal/containerd"
	"pipex/lib/run"
	"pipex/lib/workspace"
)

// Remove removes a workspace with all its runs and caches, and what they own in containerd.
// It refuses while a process holds a run of it ([*workspace.BusyError]) or a task of it runs
// ([workspace.ErrRunning]). Without containerd it removes only a workspace whose open runs
// own nothing there. Killed at any moment, it leaves a workspace in which every verb works,
// or what the next Remove or [Prune] in the workdir removes. For the locks, see
// [workspace.Remove].
func Remove(ctx context.Context, p run.Place) error {
	p = p.WithDefaults()
	var removed *workspace.Workspace
	err := workspace.Remove(ctx, p.Workdir, p.Workspace, func(ws *workspace.Workspace, open []workspace.Run) error {
		removed = ws
		owned, err := idleOf(ctx, p, open)
		for _, c := range owned {
			if err == nil {
				err = forget(ctx, at(p, c), c.ID)
			}
		}
		if err != nil {
			err = fmt.Errorf("cannot remove workspace %q: %w", ws.ID, err)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := forgetAll(ctx, p, removed); err != nil {
		p.Warning(fmt.Errorf("pipex-prune of a workspace beside %q removes what containerd may still hold for it: %w", removed.ID, err))
	}
	return nil
}

// RemoveCache removes a cache. It refuses while a process holds the cache or a run that
// uses it, or a task of such a run runs. For the locks, see
// [workspace.Workspace.RemoveCache].
func RemoveCache(ctx context.Context, p run.Place, cache string) error {
	ws, err := p.Open()
	if err != nil {
		return err
	}
	return ws.RemoveCache(ctx, cache, func(_ *workspace.Workspace, open []workspace.Run) error {
		_, err := idleOf(ctx, p, open)
		return err
	})
}

// idleOf returns what open runs own in containerd, by their records. The error wraps
// [workspace.ErrRunning] if a task of one of them runs.
func idleOf(ctx context.Context, p run.Place, open []workspace.Run) (owned []*workspace.Container, err error) {
	for _, r := range open {
		m, err := r.Meta()
		if err != nil || m.Container == nil {
			continue // what a run without a record owns is found by its labels
		}
		client, err := containerd.Connect(ctx, at(p, m.Container).Containerd)
		if err != nil {
			return nil, err
		}
		running, err := client.Running(ctx, m.Container.ID)
		client.Close()
		if err == nil && running {
			err = fmt.Errorf("run %q is %w; pipex-discard ends it", r.ID, workspace.ErrRunning)
		}
		if err != nil {
			return nil, err
		}
		owned = append(owned, m.Container)
	}
	return owned, nil
}

// at returns the place with the namespace and snapshotter of a container.
func at(p run.Place, c *workspace.Container) run.Place {
	p.Namespace, p.Snapshotter = c.Namespace, c.Snapshotter
	return p
}

// forget removes what one run owns.
func forget(ctx context.Context, p run.Place, id string) error {
	client, err := containerd.Connect(ctx, p.Containerd)
	if err != nil {
		return err
	}
	defer client.Close()
	return remove(ctx, client, id)
}

// forgetAll removes what the runs of a workspace that is gone own by their labels or names.
func forgetAll(ctx context.Context, p run.Place, ws *workspace.Workspace) error {
	client, err := containerd.Connect(ctx, p.Containerd)
	if err != nil {
		return err
	}
	defer client.Close()
	r := reaper{Place: p, ws: ws, client: client}
	if err := r.objects(ctx); err != nil {
		return err
	}
	return r.leftovers(ctx)
}
