package prepare

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/endpoint"
	"pipex/lib/internal/image"
	"pipex/lib/internal/network"
	"pipex/lib/internal/oci"
	"pipex/lib/internal/userns"
	"pipex/lib/name"
	"pipex/lib/run"
	"pipex/lib/step"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

// decision is a step with everything looked up except its inputs. Other processes may
// remove those until the workspace lock is held.
type decision struct {
	run.Place
	Options
	spec *step.Spec // complete and checked
	// ws is nil if there is no workspace yet.
	ws              *workspace.Workspace
	mounts, sources []step.PinnedMount
	trees           map[string]*tree.Tree // the content of both, by digest
	contents        map[string]*tree.Tree // the same, by host path
	seen            map[string]*tree.Stamps
	// digests says that the digests of mounts and sources are enough. unread has those of host paths
	// whose content was not read.
	digests bool
	unread  map[string]string
	users   *step.IDMap
	client  *containerd.Client // nil if there is no image
	image   *image.Image
	// again says that the caller has chosen the run's id, which an earlier run may have had.
	again bool
}

func (d *decision) close() {
	if d.client != nil {
		d.client.Close()
	}
}

// decide looks up everything that needs no lock. It creates nothing in the workspace.
func decide(ctx context.Context, p run.Place, opt Options) (_ *decision, err error) {
	spec := opt.Spec.Complete()
	if err := spec.Check(); err != nil {
		return nil, err
	}
	if err := oci.CheckCapabilities(slices.Concat(spec.CapAdd, spec.CapDrop)...); err != nil {
		return nil, err
	}
	d := &decision{Place: p.WithDefaults(), Options: opt, spec: spec, trees: map[string]*tree.Tree{}, contents: map[string]*tree.Tree{}, unread: map[string]string{}, seen: map[string]*tree.Stamps{}}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	// With Cached there may be nothing to do. Then the content is of no use.
	d.digests = opt.Cached
	for _, find := range []func(context.Context) error{d.findWorkspace, d.findLimits, d.findBoth} {
		if err := find(ctx); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// findBoth looks up what the step needs from containerd, and meanwhile what it needs from the host.
func (d *decision) findBoth(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	host, done := make(chan error, 1), make(chan error, 1)
	onHost := sync.OnceValue(func() error { return <-host })
	go func() { done <- d.findImage(ctx, onHost) }()
	var err error
	for _, find := range []func(context.Context) error{d.findHost, d.findNetworks, d.findSecrets} {
		if err == nil {
			err = find(ctx)
		}
	}
	if err != nil {
		cancel()
	}
	host <- err
	if failed := <-done; err == nil {
		err = failed
	}
	return err
}

// findWorkspace opens the workspace, if it exists, and checks that the run's id is free
// and that its inputs exist.
func (d *decision) findWorkspace(context.Context) error {
	ws, err := d.Open()
	if errors.Is(err, workspace.ErrNoWorkspace) {
		for _, in := range d.spec.Inputs {
			if !in.Optional {
				return fmt.Errorf("cannot use input %q: %w", in.Step, err)
			}
		}
		return nil
	}
	if err != nil {
		return err
	}
	d.ws = ws
	if _, err := ws.Run(d.RunID); d.RunID != "" && err == nil {
		return fmt.Errorf("run %q %w", d.RunID, workspace.ErrExists)
	}
	_, err = d.inputs()
	return err
}

// atOnce is how long findHost may take to notice that it must end.
const atOnce = time.Second

// findHost maps the caller and pins the mounts and sources. It returns when ctx ends, even if a file
// server does not answer; then a goroutine stays until it does.
func (d *decision) findHost(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- d.readHost(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(atOnce):
		return ctx.Err()
	}
}

func (d *decision) findLimits(context.Context) error { return oci.CheckLimits(d.spec.Pin().Limits) }

func (d *decision) readHost(ctx context.Context) (err error) {
	// With a rootless containerd, root of a container is always the caller.
	if d.spec.Userns && !userns.Inside() {
		if d.users, err = userns.Map(d.Caller.UID, d.Caller.GID); err != nil {
			return err
		}
	}
	if d.mounts, err = d.pin(ctx, d.spec.Mounts); err == nil {
		d.sources, err = d.pin(ctx, d.spec.Sources)
	}
	return err
}

func (d *decision) findNetworks(context.Context) error {
	for _, n := range d.spec.Networks() {
		if n.Attached() {
			if err := network.Paths(d.CNI).Check(string(n)); err != nil {
				return err
			}
		}
	}
	return oci.CheckDevices(d.spec.Devices)
}

func (d *decision) findSecrets(context.Context) error {
	for _, s := range d.spec.Secrets {
		if _, err := os.Stat(s.File); s.File != "" && err != nil {
			return fmt.Errorf("cannot use secret %q: %w", s.Name, err)
		}
	}
	return nil
}

// findImage resolves the image, if there is one. It fetches nothing before onHost has returned.
func (d *decision) findImage(ctx context.Context, onHost func() error) (err error) {
	if d.spec.Image == "" {
		return nil
	}
	if d.client, err = containerd.Connect(ctx, d.Containerd); err != nil {
		return err
	}
	wanted := Wanted{Ref: d.spec.Image, Pull: d.spec.Pull, Platform: d.spec.Platform}
	if d.Fetch == nil {
		d.image, err = image.Look(ctx, d.client, wanted)
	} else {
		d.image, err = image.Resolve(ctx, d.client, d.Containerd, wanted, func(ctx context.Context, to endpoint.Containerd, w Wanted) error {
			if err := onHost(); err != nil {
				return err
			}
			return d.Fetch(ctx, to, w)
		})
	}
	if err != nil {
		return err
	}
	if d.spec.Entrypoint != nil {
		d.image.Entrypoint, d.image.Cmd = *d.spec.Entrypoint, nil
	}
	if len(d.spec.Cmd) == 0 && len(d.image.Cmd) == 0 && len(d.image.Entrypoint) == 0 {
		return name.Usage("no command: the image %q has none either; give one after --", d.spec.Image)
	}
	return nil
}
