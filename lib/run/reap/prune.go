package reap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"pipex/lib/internal/cgroup"
	"pipex/lib/internal/containerd"
	"pipex/lib/internal/network"
	"pipex/lib/run"
	"pipex/lib/workspace"
)

// PruneOptions say what to remove. The zero value removes committed runs that nothing
// refers to and that are older than an hour.
type PruneOptions struct {
	// Keep names runs to keep besides the active ones; they need not exist.
	Keep []string
	// KeepLast is how many of the latest runs of each step to keep.
	KeepLast int
	// OlderThan keeps runs that are younger; see [workspace.Run.Age]. Zero is
	// [DefaultAge]. [Now] keeps no run because of its age.
	OlderThan time.Duration
	// Staging removes open runs, too.
	Staging bool
	// Failed removes, whatever their age, failed open runs of steps that have succeeded
	// since; see [workspace.Workspace.Superseded].
	Failed bool
	// DryRun removes nothing, and reports what would be removed.
	DryRun bool
}

// DefaultAge is how old a run must be before prune removes it by default: no script is
// known that takes longer between two verbs. Now is for callers who know that no script
// is between two verbs.
const (
	DefaultAge               = time.Hour
	Now        time.Duration = -1
)

// Kept is what prune kept although nothing refers to it.
type Kept struct {
	// Runs and Open are the committed and the open runs younger than Age.
	Runs, Open int
	Age        time.Duration
	// Failed are the failed open runs of steps that have succeeded since.
	Failed int
	// Unreadable are the committed runs whose record cannot be read.
	Unreadable int
}

// Prune removes what nothing refers to, in the workspace and in containerd. It calls
// report with the id of each run that it removes, or would remove in a dry run. It
// removes:
//
//   - committed runs that nothing refers to and that are old enough; see
//     [workspace.Workspace.Prune],
//   - with Staging, open runs that are old enough, that no process holds and whose
//     task is not running; with Failed, such runs of any age if they have failed and
//     their step has succeeded since,
//   - what other verbs have left for others to remove from containerd; see [Work],
//   - what containerd holds for runs of this workspace that are not open, and for
//     workspaces of the same workdir that no longer exist.
//
// If it cannot reach containerd, it calls p.Warn and prunes only the workspace.
//
// Prune takes the workspace lock, exclusive, and the lock of each run that it removes.
func Prune(ctx context.Context, p run.Place, opt PruneOptions, report func(id string)) (Kept, error) {
	kept := Kept{Age: opt.OlderThan}
	if kept.Age == 0 {
		kept.Age = DefaultAge
	}
	ws, err := p.Open()
	if err != nil {
		return kept, err
	}
	client, err := containerd.Connect(ctx, p.Containerd)
	if err != nil {
		client = nil
		p.Warning(fmt.Errorf("containerd's half is left for the next time: %w", err))
	} else {
		defer client.Close()
	}
	if !opt.DryRun {
		w := newWorker(p, ws)
		// What cannot be reached is told, or was another containerd; see forgetUnreachable.
		left := slices.DeleteFunc(w.work(ctx), func(err error) bool { return errors.Is(err, containerd.ErrUnreachable) })
		w.close()
		left = slices.CompactFunc(left, func(a, b error) bool { return a != nil && b != nil && a.Error() == b.Error() })
		if err := errors.Join(left...); err != nil {
			p.Warning(fmt.Errorf("left for the next time: %w", err))
		}
	}
	r := reaper{p, opt, ws, client, report, &kept}
	if err := r.staging(ctx); err != nil {
		return kept, err
	}
	spared, err := ws.Prune(ctx, workspace.PruneOptions{
		Keep: opt.Keep, KeepLast: opt.KeepLast, OlderThan: kept.Age, DryRun: opt.DryRun,
	}, report)
	kept.Runs, kept.Unreadable = spared.Young, spared.Unreadable
	if err != nil || client == nil || opt.DryRun {
		return kept, err
	}
	if err := r.objects(ctx); err != nil {
		return kept, err
	}
	if err := forgetUnreachable(ctx, p, ws); err != nil {
		return kept, err
	}
	if err := client.DropFetches(ctx); err != nil {
		return kept, err
	}
	if opt.Staging {
		return kept, r.shims(ctx)
	}
	return kept, nil
}

// Object is what a run owns in containerd: a lease, a snapshot and a container of the
// name ID.
type Object = containerd.Object

// Owned returns what containerd holds for the runs of all workspaces in p.Workdir, also
// of runs and workspaces that no longer exist.
func Owned(ctx context.Context, p run.Place) ([]Object, error) {
	p = p.WithDefaults()
	client, err := containerd.Connect(ctx, p.Containerd)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	dir, err := filepath.Abs(p.Workdir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return nil, err
	}
	return client.Owned(ctx, dir)
}

// Job removes what containerd, in p's namespace, holds for runs that a job of a batch system has executed, and kills their
// containers, whatever workspace they are of. The job must have ended. It uses no workspace.
func Job(ctx context.Context, p run.Place, job string) error {
	client, err := containerd.Connect(ctx, p.WithDefaults().Containerd)
	if err != nil {
		return err
	}
	defer client.Close()
	owned, err := client.OfJob(ctx, job)
	if err != nil {
		return err
	}
	var errs []error
	for _, o := range owned {
		errs = append(errs, remove(ctx, client, o.ID))
	}
	return errors.Join(errs...)
}

// reaper is the state of one call of Prune or Remove.
type reaper struct {
	run.Place
	PruneOptions
	ws     *workspace.Workspace
	client *containerd.Client // nil if there is none
	report func(id string)
	kept   *Kept
}

// staging discards the open runs that are to be removed and not in use, and counts others.
func (r *reaper) staging(ctx context.Context) error {
	runs, err := r.ws.OpenRuns()
	if err != nil {
		return err
	}
	for _, open := range runs {
		gone, err := r.abandoned(ctx, open)
		if err != nil {
			return err
		}
		if gone {
			r.report(open.ID)
		}
	}
	return nil
}

// due reports whether an open run is to be removed if nobody uses it. One without a record
// may be that of another tool, which runs it now without our lock: it is never old enough.
func (r *reaper) due(open workspace.Run) bool {
	if r.Failed && r.ws.Superseded(open) {
		return true
	}
	return r.Staging && open.Age() >= r.kept.Age && (r.kept.Age <= 0 || readable(open))
}

func readable(r workspace.Run) bool {
	_, err := r.Meta()
	return err == nil
}

// abandoned discards an open run if it is due and not in use, and reports whether it did.
// It tests the run's lock first and takes it only to remove the run.
func (r *reaper) abandoned(ctx context.Context, open workspace.Run) (bool, error) {
	if !r.due(open) {
		if r.ws.Superseded(open) {
			r.kept.Failed++
		} else if r.Staging {
			r.kept.Open++
		}
		return false, nil
	}
	err := r.ws.Held(open.ID)
	if err == nil && r.DryRun {
		return r.idle(ctx, open)
	}
	var lock *workspace.Lock
	if err == nil {
		open, lock, err = run.Hold(r.ws, open.ID, "prune")
	}
	var busy *workspace.BusyError
	switch {
	case errors.As(err, &busy):
		r.Warning(fmt.Errorf("passed over: %w", err))
		return false, nil
	case errors.Is(err, workspace.ErrNoRun), err == nil && open.Committed:
		return false, nil
	case err != nil:
		return false, err
	}
	defer lock.Release()
	if idle, err := r.idle(ctx, open); err != nil || !idle {
		return false, err
	}
	return true, Held(ctx, r.Place, r.ws, open)
}

// idle reports whether an open run is due and its task, if any, is not running.
func (r *reaper) idle(ctx context.Context, open workspace.Run) (bool, error) {
	if !r.due(open) {
		return false, nil // an exec has used it meanwhile
	}
	m, err := open.Meta()
	if err != nil || m.Container == nil {
		return true, nil
	}
	if r.client == nil {
		return false, nil // its task may be running
	}
	running, err := r.client.Running(ctx, m.Container.ID)
	return !running, err
}

// objects removes what containerd holds for runs of this workspace that are not open,
// which an interrupted prepare or commit leaves, and for workspaces of the same workdir
// that no longer exist.
func (r *reaper) objects(ctx context.Context) error {
	owned, err := r.client.Owned(ctx, filepath.Dir(r.ws.Root))
	if err != nil {
		return err
	}
	for _, o := range owned {
		if _, gone := os.Lstat(o.Workdir); errors.Is(gone, os.ErrNotExist) {
			err = remove(ctx, r.client, o.ID)
		} else if o.Workdir == r.ws.Root {
			err = r.object(ctx, o)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// object removes what containerd holds for a run, unless the run is open or a prepare
// that creates it holds its lock. A committed run cannot become open again, so it needs
// no lock, and another prune may remove the run at the same time.
func (r *reaper) object(ctx context.Context, o containerd.Object) error {
	found, err := r.ws.Run(o.Run)
	if err == nil && !found.Committed {
		return nil
	}
	if err != nil {
		lock, err := r.ws.HoldRun(o.Run, "prune")
		var busy *workspace.BusyError
		if errors.As(err, &busy) {
			return nil
		}
		if err != nil {
			return err
		}
		defer lock.Release()
		if _, err := r.ws.OpenRun(o.Run); err == nil {
			return nil // prepared meanwhile
		}
	}
	return remove(ctx, r.client, o.ID)
}

// shims ends the shims of clients that were killed while they created a task: shims
// whose container is gone, and shims of this workspace's runs that have no task and
// whose lock nobody holds. A process that is creating a task now holds the run's lock,
// and its container exists.
func (r *reaper) shims(ctx context.Context) error {
	// containerd may be starting another one: repeat until none is found.
	for again := true; again; {
		shims, err := r.client.Shims(ctx)
		again = false
		for _, s := range shims {
			if err != nil {
				break
			}
			var ended bool
			ended, err = r.shim(ctx, s)
			again = again || ended
		}
		if err != nil {
			return err
		}
	}
	return r.leftovers(ctx)
}

func (r *reaper) shim(ctx context.Context, s containerd.Shim) (bool, error) {
	if s.Run != "" {
		if s.Workdir != r.ws.Root {
			return false, nil
		}
		lock, err := r.ws.HoldRun(s.Run, "prune")
		var busy *workspace.BusyError
		if errors.As(err, &busy) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		defer lock.Release()
	}
	return r.client.EndShim(ctx, s)
}

// leftovers removes the control groups and networks of this workspace's runs that are
// neither open nor drafts, which pipex-shell uses. It lists them before it lists the open
// runs: so those of a run that is prepared in between are not among them.
func (r *reaper) leftovers(ctx context.Context) error {
	ours := func(id string) bool { return containerd.Belongs(id, r.ws.Root) }
	all, err := cgroup.List(r.client.Namespace, ours)
	if err != nil {
		return err
	}
	networks := slices.DeleteFunc(network.List(), func(id string) bool { return !ours(id) })
	if len(all) == 0 && len(networks) == 0 {
		return nil
	}
	drafts, err := r.ws.Drafts()
	if err != nil {
		return err
	}
	runs, err := r.ws.OpenRuns()
	if err != nil {
		return err
	}
	open := map[string]bool{}
	for _, o := range append(drafts, runs...) {
		open[containerd.Owner{Workdir: r.ws.Root, Run: o.ID}.NewID()] = true
	}
	for _, g := range all {
		if !open[g.ID] {
			if err := g.Remove(); err != nil {
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
