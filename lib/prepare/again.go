package prepare

import (
	"context"
	"errors"
	"fmt"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/endpoint"
	"pipex/lib/internal/image"
	"pipex/lib/internal/version"
	"pipex/lib/name"
	"pipex/lib/run"
	"pipex/lib/step"
	"pipex/lib/workspace"
)

// AgainOptions say how a run is prepared again.
type AgainOptions struct {
	// WriteCaches mounts the caches as the run had them; else they are read-only.
	WriteCaches bool
	// Fetch is as in [Options].
	Fetch Fetch
}

// Draft is a run that stands in no list: nobody can execute or commit it, and once its
// lock is released, prune removes what is left of it.
type Draft struct {
	Workspace *workspace.Workspace
	Run       workspace.Run
	// Of is the run that it was made from.
	Of workspace.Run
	// Snapshot is the name of what Of has in containerd, while Of is open.
	Snapshot string
	// Artifacts are where the container sees the artifacts of Of.
	Artifacts string
	locks     []*workspace.Lock
}

// Release releases the draft's locks. The caller has removed it.
func (d *Draft) Release() {
	for _, lock := range d.locks {
		lock.Release()
	}
}

// Again makes a draft of the step of a run, as that was decided: the same image by its
// digest, the same input runs, host paths, variables, user and limits. It has no setup, no
// time limit, and no output of its own. An image that is missing is fetched by its digest.
//
// Until the draft is released, no verb removes the run, its inputs, or what they need.
// But a run that another process executes at the time cannot be protected: Again calls
// p.Warn. A run without a container is an error.
func Again(ctx context.Context, p run.Place, id string, opt AgainOptions) (_ *Draft, err error) {
	ws, err := p.Open()
	if err != nil {
		return nil, err
	}
	if opt.Fetch == nil {
		opt.Fetch = noFetch
	}
	d := &Draft{Workspace: ws}
	defer func() {
		if err != nil {
			d.Release()
		}
	}()
	was, err := d.lookAt(p, id)
	if err != nil {
		return nil, err
	}
	if was.Container == nil {
		return nil, fmt.Errorf("run %q has no container to look into; its artifacts are in %q", id, d.Of.Artifacts())
	}
	d.Snapshot, d.Artifacts = was.Container.ID, was.Output
	m := again(was, opt)
	p.Namespace, p.Snapshotter = was.Container.Namespace, was.Container.Snapshotter
	client, err := containerd.Connect(ctx, p.Containerd)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	lock, err := ws.HoldRun(m.RunID, "shell")
	if err != nil {
		return nil, err
	}
	d.locks = append(d.locks, lock)
	owner := containerd.Owner{Workspace: ws.ID, Workdir: ws.Root, Run: m.RunID, Step: m.StepID, Version: m.Version}
	o := containerd.Object{ID: owner.NewID(), Owner: owner}
	m.Container.ID = o.ID
	// The shared lock keeps prune from removing an input before the draft names it.
	shared, err := ws.Shared(ctx)
	if err != nil {
		return nil, err
	}
	d.Run, err = ws.Draft(m)
	shared.Release()
	if err == nil {
		err = leaseAgain(ctx, client, p.Containerd, o, was, opt)
	}
	if err != nil {
		// The draft itself is removed by the next prune, if that fails here.
		p.Warning(errors.Join(client.Remove(context.WithoutCancel(ctx), o.ID), ws.Discard(d.Run)))
		return nil, err
	}
	return d, nil
}

// lookAt finds the run, takes its lock, shared, and reads its record.
func (d *Draft) lookAt(p run.Place, id string) (*workspace.Meta, error) {
	var err error
	if d.Of, err = d.Workspace.Run(id); err != nil {
		return nil, err
	}
	lock, held := d.Workspace.LookAt(id, "shell")
	d.locks = append(d.locks, lock)
	// It may have been committed or removed before we had the lock.
	if d.Of, err = d.Workspace.Run(id); err != nil {
		return nil, err
	}
	m, err := d.Of.Meta()
	if err != nil || held == nil {
		return m, err
	}
	var busy *workspace.BusyError
	if !errors.As(held, &busy) || m.Status != workspace.Running {
		return nil, held
	}
	p.Warning(fmt.Errorf("run %q is being executed: its files may change, and its processes are not seen here", id))
	return m, nil
}

// again returns the record of a draft.
func again(was *workspace.Meta, opt AgainOptions) *workspace.Meta {
	c := *was.Container
	m := &workspace.Meta{
		RunID: name.NewID(), Pinned: was.Pinned, Status: workspace.Prepared, PreparedAt: workspace.Now(),
		Container: &c, Version: version.String(), Host: was.Host,
	}
	m.Setup, m.TimeoutMs, m.Output = nil, 0, ""
	m.CacheMounts = nil
	for _, cache := range was.CacheMounts {
		if !opt.WriteCaches {
			cache.ReadOnly, cache.Exclusive = true, false
		}
		m.CacheMounts = append(m.CacheMounts, cache)
	}
	if l := was.Limits; l != nil {
		limits := *l
		limits.LogMaxBytes = 0
		m.Limits = &limits
	}
	return m
}

// leaseAgain leases the image of a run for o, and fetches it first if it is missing.
func leaseAgain(ctx context.Context, client *containerd.Client, to endpoint.Containerd, o containerd.Object, was *workspace.Meta, opt AgainOptions) error {
	if err := client.Lease(ctx, o, was.ImageDigest); err != nil {
		return err
	}
	if err := client.LeaseSnapshot(ctx, o.ID, was.Container.ChainID); err == nil {
		return nil
	}
	// The tag may still be the same image, unpacked or not.
	wanted := Wanted{Ref: was.Image, Pull: step.PullNever, Platform: was.Platform}
	if i, err := image.Look(ctx, client, wanted); err == nil && i.ChainID == was.Container.ChainID {
		i, err = image.Resolve(ctx, client, to, wanted, opt.Fetch)
		if err != nil {
			return err
		}
		return client.LeaseSnapshot(ctx, o.ID, i.ChainID)
	}
	wanted.Ref, wanted.Pull = image.Pinned(was.Image, was.ImageDigest), step.PullMissing
	i, err := image.Resolve(ctx, client, to, wanted, opt.Fetch)
	if err != nil {
		return err
	}
	return client.LeaseSnapshot(ctx, o.ID, i.ChainID)
}
