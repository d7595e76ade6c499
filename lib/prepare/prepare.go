// Package prepare creates open runs. It pins everything about a step that could change:
// images and inputs to digests, links to runs, host paths to their content.
package prepare

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"

	"pipex/lib/internal/trace"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/image"
	"pipex/lib/internal/version"
	"pipex/lib/name"
	"pipex/lib/run"
	"pipex/lib/step"
	"pipex/lib/workspace"
)

// Options say what to prepare. The zero value is a run that has no container and belongs
// to no step; the caller writes its artifacts.
type Options struct {
	Spec step.Spec
	// RunID is the id of the new run; if empty, Prepare makes one.
	RunID string
	// Cached returns a committed, successful run with the same fingerprint, if there is
	// one, instead of creating a run.
	Cached bool
	// Fetch fetches an image that is missing; nil if that is an error.
	Fetch Fetch
	// Caller is the host's user and group for root of the container, if the step has a
	// user namespace.
	Caller Caller
}

// Caller is a user id and a group id; the zero value is root.
type Caller struct{ UID, GID uint32 }

// ErrNoImage says that containerd does not have an image and it could not be fetched.
var ErrNoImage = image.ErrMissing

// Prepared is the result of Prepare.
type Prepared struct {
	RunID       string `json:"run"`
	Fingerprint string `json:"fingerprint"`
	// UpToDate says that RunID is a committed run and nothing was created.
	UpToDate bool `json:"upToDate"`
}

// Prepare resolves and leases the image, resolves inputs to runs and host paths to the
// digests of their content, and then creates the open run, complete or not at all. It
// creates the workspace if it does not exist. With Cached it may return a committed run
// instead. That run's age is then zero, so that prune keeps it like a new one; see
// [workspace.Workspace.Touch].
//
// Wrong usage is a [*name.UsageError] or a [*name.Error]. If ctx ends while Prepare waits
// or fetches, no run and no lease are left. Prepare takes the workspace lock, shared, and
// the run's lock.
func Prepare(ctx context.Context, p run.Place, opt Options) (*Prepared, error) {
	again := opt.RunID != ""
	if !again {
		opt.RunID = name.NewID()
	}
	if opt.Fetch == nil {
		opt.Fetch = noFetch
	}
	if err := name.Check("run", opt.RunID); err != nil {
		return nil, err
	}
	trace.Name("", "pipex.step", opt.Spec.Step)
	d, err := decide(ctx, p, opt)
	if err != nil {
		return nil, err
	}
	defer d.close()
	d.again = again
	if d.ws == nil {
		if d.ws, err = workspace.Create(d.Workdir, d.Workspace); err != nil {
			return nil, err
		}
	}
	done, err := d.decided(ctx)
	if err == nil {
		trace.Name("", "pipex.run", done.RunID)
	}
	return done, err
}

// decided finds a committed run or creates an open one. If only digests of mounts and sources are known
// and they lead to no run, their content is read first: an open run has notes of it.
func (d *decision) decided(ctx context.Context) (*Prepared, error) {
	if len(d.unread) > 0 {
		if found, err := d.find(ctx); found != nil || err != nil {
			return found, err
		}
		d.digests = false
		if err := d.findHost(ctx); err != nil {
			return nil, err
		}
	}
	return d.stage(ctx)
}

// find finds a committed run, or nil.
func (d *decision) find(ctx context.Context) (*Prepared, error) {
	shared, err := d.ws.Shared(ctx)
	if err != nil {
		return nil, err
	}
	defer shared.Release()
	m, err := d.meta(ctx)
	if err != nil {
		return nil, err
	}
	return d.cached(ctx, m)
}

// cached finds a committed run with the fingerprint of a record, or nil. Its age is then zero. The
// caller holds the workspace lock, shared.
func (d *decision) cached(ctx context.Context, m *workspace.Meta) (*Prepared, error) {
	id, err := lookup(ctx, d.Place, d.ws, m.Fingerprint)
	if err == nil && id != "" {
		err = d.ws.Touch(id)
	}
	if err != nil || id == "" {
		return nil, err
	}
	return &Prepared{RunID: id, Fingerprint: m.Fingerprint, UpToDate: true}, nil
}

// stage creates the open run, or finds a committed one.
func (d *decision) stage(ctx context.Context) (*Prepared, error) {
	ws := d.ws
	if d.client != nil {
		if err := containerd.CheckLog(ws.Root); err != nil {
			return nil, err
		}
	}
	var held *workspace.Lock
	var err error
	if d.again {
		if held, err = d.hold(); err == nil {
			defer held.Release()
			err = d.forget(ctx)
		}
		if err != nil {
			return nil, err
		}
	}
	shared, err := ws.Shared(ctx)
	if err != nil {
		return nil, err
	}
	defer shared.Release()
	m, err := d.meta(ctx)
	if err != nil {
		return nil, err
	}
	if d.Cached {
		if found, err := d.cached(ctx, m); found != nil || err != nil {
			return found, err
		}
	}
	if held == nil {
		if held, err = d.hold(); err != nil {
			return nil, err
		}
		defer held.Release()
	}
	needed := d.spec.Caches
	if d.spec.Setup != nil {
		needed = slices.Concat(needed, d.spec.Setup.Caches)
	}
	for _, c := range needed {
		if _, err := ws.PrepareCache(c.Name); err != nil {
			return nil, err
		}
	}
	leased := d.lease(ctx, m)
	_, err = ws.Stage(m, shared, func(r workspace.Run) error {
		d.Warning(ws.KeepTrees(r, d.trees))
		if err := d.settle(ctx); err != nil {
			return err
		}
		if err := ws.KeepSeen(r, d.seen); err != nil {
			return err
		}
		if err := copyInputs(ctx, ws, r, m.Inputs); err != nil {
			return err
		}
		return leased()
	})
	if err != nil {
		leased() // what is to be removed must not be created meanwhile
		if d.client != nil {
			d.Warning(d.client.Remove(context.WithoutCancel(ctx), m.Container.ID))
		}
		return nil, err
	}
	return &Prepared{RunID: d.RunID, Fingerprint: m.Fingerprint}, nil
}

// hold takes the lock of the run, which must not exist.
func (d *decision) hold() (*workspace.Lock, error) {
	held, err := d.ws.HoldRun(d.RunID, "prepare")
	if err != nil {
		return nil, err
	}
	// While we waited for the lock, another prepare may have made the run: its lease is not ours.
	if _, err := d.ws.Run(d.RunID); err == nil {
		held.Release()
		return nil, fmt.Errorf("run %q %w", d.RunID, workspace.ErrExists)
	}
	return held, nil
}

// forget makes sure that no reaper removes from containerd, from now on, what belonged to an
// earlier run of the same id: [containerd.Client.Lease] does that. It waits for one that is
// at it, before the caller holds a lock that prune and link wait for. The caller holds the
// run's lock.
func (d *decision) forget(ctx context.Context) error {
	if notes, err := d.ws.HasNotes(d.RunID); err != nil || !notes {
		return err
	}
	lock, err := run.HoldContainer(ctx, d.Place, d.ws, d.RunID)
	if err != nil {
		return err
	}
	defer lock.Release()
	return d.ws.DropNotes(d.RunID)
}

// settle waits until every later write to a mount or source can be seen.
func (d *decision) settle(ctx context.Context) error {
	ctx, part := trace.Start(ctx, "wait until later writes can be seen")
	defer part.End()
	for _, stamps := range d.seen {
		if err := stamps.Settle(ctx); err != nil {
			return err
		}
	}
	return nil
}

// lease records what the run will own in containerd, and leases the image for it in the
// background. leased waits for that.
func (d *decision) lease(ctx context.Context, m *workspace.Meta) (leased func() error) {
	if d.client == nil {
		return func() error { return nil }
	}
	owner := containerd.Owner{Workspace: d.ws.ID, Workdir: d.ws.Root, Run: d.RunID, Step: d.spec.Step, Version: m.Version}
	o := containerd.Object{ID: owner.NewID(), Owner: owner}
	m.Container = &workspace.Container{
		ID: o.ID, Namespace: d.client.Namespace, Snapshotter: d.client.Snapshotter,
		ChainID: d.image.ChainID, Architecture: d.image.Architecture, Entrypoint: d.image.Entrypoint, Env: d.image.Env,
	}
	done := make(chan error, 1)
	go func() { done <- d.client.Lease(ctx, o, d.image.Digest) }()
	return sync.OnceValue(func() error { return <-done })
}

// meta returns the record of the run to be created. The caller holds the workspace lock,
// shared, so that prune does not remove the inputs.
func (d *decision) meta(ctx context.Context) (*workspace.Meta, error) {
	p := d.spec.Pin()
	if d.ws != nil {
		var err error
		if p.Inputs, err = d.inputs(); err != nil {
			return nil, err
		}
	}
	for i := range p.Inputs {
		if err := digestInput(ctx, d.ws, &p.Inputs[i]); err != nil {
			return nil, err
		}
	}
	p.Mounts, p.Sources, p.Userns = d.mounts, d.sources, d.users
	if i := d.image; i != nil {
		p.ImageDigest, p.ImageID = i.Digest, i.ID
		if len(p.Cmd) == 0 {
			p.Cmd = i.Cmd
		}
		if p.Cwd == "" {
			p.Cwd = i.Cwd
		}
		if p.User == "" {
			p.User = i.User
		}
	}
	if p.Cwd == "" {
		p.Cwd = "/"
	}
	p.Cmd = append([]string{}, p.Cmd...) // never nil: JSON must have a list
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return &workspace.Meta{
		RunID: d.RunID, Pinned: *p, Fingerprint: p.Fingerprint(), Status: workspace.Prepared,
		PreparedAt: workspace.Now(), Version: version.String(), Host: host,
	}, nil
}

// lookup returns the latest committed, successful run with the fingerprint, or "". It warns
// of damaged ones.
func lookup(ctx context.Context, p run.Place, ws *workspace.Workspace, fingerprint string) (string, error) {
	ctx, part := trace.Start(ctx, "look for fingerprint", fingerprint)
	defer part.End()
	return ws.Lookup(ctx, fingerprint, p.Warning)
}
