// Package prepare creates open runs. It pins everything about a step that could change:
// images and inputs to digests, links to runs, host paths to their content.
package prepare

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pipex/lib/internal/trace"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/image"
	"pipex/lib/internal/network"
	"pipex/lib/internal/oci"
	"pipex/lib/internal/userns"
	"pipex/lib/internal/version"
	"pipex/lib/name"
	"pipex/lib/run"
	"pipex/lib/step"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

// Options say what to prepare. The zero value is a run that has no container and belongs
// to no step; the caller writes its artifacts.
type Options struct {
	// Spec describes the step. Prepare fills in the defaults.
	Spec step.Spec
	// RunID is the id of the new run; if empty, Prepare makes one.
	RunID string
	// Cached returns a committed, successful run with the same fingerprint, if there is
	// one, instead of creating a run.
	Cached bool
	// HostsDir is the directory of containerd's hosts.toml files, with one directory per
	// registry; empty for none.
	HostsDir string
	// Progress is called while an image is pulled; it may be nil.
	Progress func(Progress)
	// Caller is the host's user and group for root of the container, if the step has a
	// user namespace.
	Caller Caller
}

// Progress is the progress of a pull.
type Progress = image.Progress

// Caller is a user id and a group id; the zero value is root.
type Caller struct{ UID, GID uint32 }

// ErrNoImage says that containerd does not have an image and it could not be fetched.
var ErrNoImage = image.ErrMissing

// Prepared is the result of Prepare.
type Prepared struct {
	// RunID is the open run, or the committed run that Cached has found.
	RunID string `json:"run"`
	// Fingerprint is the step's fingerprint, in hexadecimal.
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
	if opt.RunID == "" {
		opt.RunID = name.NewID()
	}
	if err := name.Check("run", opt.RunID); err != nil {
		return nil, err
	}
	d, err := decide(ctx, p, opt)
	if err != nil {
		return nil, err
	}
	defer d.close()
	if d.ws == nil {
		if d.ws, err = workspace.Create(d.Workdir, d.Workspace); err != nil {
			return nil, err
		}
	}
	return d.stage(ctx)
}

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
	users           *step.IDMap
	client          *containerd.Client // nil if there is no image
	image           *image.Image
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
	d := &decision{Place: p.WithDefaults(), Options: opt, spec: spec, trees: map[string]*tree.Tree{}}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	for _, find := range []func(context.Context) error{d.findWorkspace, d.findLimits, d.findHost, d.findNetworks, d.findSecrets, d.findImage} {
		if err := find(ctx); err != nil {
			return nil, err
		}
	}
	return d, nil
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

func (d *decision) findLimits(context.Context) error { return oci.CheckLimits(d.spec.Pin().Limits) }

// findHost maps the caller and pins the mounts and sources.
func (d *decision) findHost(ctx context.Context) (err error) {
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

// findImage resolves the image, if there is one.
func (d *decision) findImage(ctx context.Context) (err error) {
	if d.spec.Image == "" {
		return nil
	}
	if d.client, err = containerd.Connect(ctx, d.Containerd); err != nil {
		return err
	}
	d.image, err = image.Resolve(ctx, d.client, d.spec.Image, image.Options{
		Pull: d.spec.Pull, Platform: d.spec.Platform, HostsDir: d.HostsDir, Progress: d.Progress,
	})
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

// stage creates the open run, or finds a committed one.
func (d *decision) stage(ctx context.Context) (*Prepared, error) {
	ws := d.ws
	if d.client != nil {
		if err := containerd.CheckLog(ws.Root); err != nil {
			return nil, err
		}
	}
	if d.Cached {
		if err := ws.Index(ctx); err != nil {
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
		id, err := lookup(ws, m.Fingerprint)
		if err == nil && id != "" {
			err = ws.Touch(id)
		}
		if err != nil || id != "" {
			return &Prepared{RunID: id, Fingerprint: m.Fingerprint, UpToDate: true}, err
		}
	}
	held, err := ws.HoldRun(d.RunID, "prepare")
	if err != nil {
		return nil, err
	}
	defer held.Release()
	needed := d.spec.Caches
	if d.spec.Setup != nil {
		needed = slices.Concat(needed, d.spec.Setup.Caches)
	}
	for _, c := range needed {
		if _, err := ws.PrepareCache(c.Name); err != nil {
			return nil, err
		}
	}
	if d.client != nil {
		err = d.lease(ctx, m)
	}
	if err == nil {
		_, err = ws.Stage(m, shared, func(r workspace.Run) error {
			d.Warning(ws.KeepTrees(r, d.trees))
			return copyInputs(ctx, ws, r, m.Inputs)
		})
	}
	if err != nil {
		if d.client != nil {
			d.Warning(d.client.Remove(context.WithoutCancel(ctx), m.Container.ID))
		}
		return nil, err
	}
	return &Prepared{RunID: d.RunID, Fingerprint: m.Fingerprint}, nil
}

// lease records what the run will own in containerd, and leases the image for it.
func (d *decision) lease(ctx context.Context, m *workspace.Meta) error {
	owner := containerd.Owner{Workspace: d.ws.ID, Workdir: d.ws.Root, Run: d.RunID, Step: d.spec.Step, Version: m.Version}
	o := containerd.Object{ID: owner.NewID(), Owner: owner}
	m.Container = &workspace.Container{
		ID: o.ID, Namespace: d.client.Namespace, Snapshotter: d.client.Snapshotter,
		ChainID: d.image.ChainID, Entrypoint: d.image.Entrypoint, Env: d.image.Env,
	}
	return d.client.Lease(ctx, o, d.image.Digest)
}

// inputs resolves each input to a committed run, without its digest.
func (d *decision) inputs() ([]step.PinnedInput, error) {
	var inputs []step.PinnedInput
	for _, in := range d.spec.Inputs {
		id := in.Run
		if id == "" {
			linked, err := d.ws.Linked(in.Step)
			if errors.Is(err, workspace.ErrNoStep) && in.Optional {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("cannot use input %q: %w; pipex-link names a run", in.Step, err)
			}
			id = linked
		}
		r, err := d.ws.Run(id)
		if errors.Is(err, workspace.ErrNoRun) && in.Optional {
			continue
		}
		if err == nil && !r.Committed {
			err = fmt.Errorf("run %q is %w", id, workspace.ErrNotCommitted)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot use input %q: %w", in.Step, err)
		}
		inputs = append(inputs, step.PinnedInput{Step: in.Step, RunID: id, MountedAs: in.Path, Copied: in.Copy})
	}
	return inputs, nil
}

// digestInput fills in the digest of an input's artifacts. Commit has recorded it, except
// in a run that another tool committed.
func digestInput(ctx context.Context, ws *workspace.Workspace, in *step.PinnedInput) error {
	r, err := ws.Run(in.RunID)
	if err != nil {
		return err
	}
	if m, err := r.Meta(); err == nil && m.Artifacts != nil {
		in.Digest = m.Artifacts.Digest
		return nil
	}
	content, err := tree.Scan(ctx, r.Artifacts())
	if err != nil {
		return fmt.Errorf("cannot read input %q: %w", in.Step, err)
	}
	in.Digest = content.Digest()
	return nil
}

// pin resolves the symbolic links of each host path and computes its digest.
func (d *decision) pin(ctx context.Context, list []step.Mount) ([]step.PinnedMount, error) {
	var mounts []step.PinnedMount
	for _, m := range list {
		real, err := filepath.EvalSymlinks(m.Host)
		if err != nil {
			return nil, fmt.Errorf("cannot mount %q: %w", m.Host, reason(err))
		}
		content, err := Hash(ctx, d.Place, d.ws, real)
		if err != nil {
			return nil, fmt.Errorf("cannot mount %q: %w", m.Host, err)
		}
		digest := content.Digest()
		d.trees[digest] = content
		mounts = append(mounts, step.PinnedMount{HostPath: real, ContainerPath: m.Path, Digest: digest})
	}
	return mounts, nil
}

// Hash returns the content of a host path as prepare records it for a mount. It uses the
// workspace's hash cache unless ws is nil. It leaves out what pipex itself keeps below
// that path, since that changes all the time: the workdir, and the directory of a
// containerd that pipex-containerd started.
func Hash(ctx context.Context, p run.Place, ws *workspace.Workspace, path string) (*tree.Tree, error) {
	defer trace.Region("hash %s", path)()
	options := []tree.Option{tree.RecordSpecial(), tree.Without(p.Workdir)}
	daemon := filepath.Dir(strings.TrimPrefix(p.Address, "unix://"))
	if _, err := os.Lstat(filepath.Join(daemon, daemonLock)); err == nil {
		options = append(options, tree.Without(daemon))
	}
	if ws == nil {
		return tree.Scan(ctx, path, options...)
	}
	return ws.Hash(ctx, path, options...)
}

// daemonLock is a file that marks the directories of pipex-containerd.
const daemonLock = "pipex.lock"

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

// lookup returns the latest committed, successful run with the fingerprint, or "".
func lookup(ws *workspace.Workspace, fingerprint string) (string, error) {
	defer trace.Region("look for fingerprint %s", fingerprint)()
	return ws.Lookup(fingerprint)
}

// reason returns the cause of an error without the path, which the caller names.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// copyInputs copies the artifacts of the copied inputs into the run's artifacts.
func copyInputs(ctx context.Context, ws *workspace.Workspace, r workspace.Run, inputs []step.PinnedInput) error {
	for _, in := range inputs {
		if !in.Copied {
			continue
		}
		if err := copyInput(ctx, ws, r, in); err != nil {
			return fmt.Errorf("cannot copy input %q: %w", in.Step, err)
		}
	}
	return nil
}

func copyInput(ctx context.Context, ws *workspace.Workspace, r workspace.Run, in step.PinnedInput) error {
	defer trace.Region("copy input %s", in.Step)()
	from, err := ws.Run(in.RunID)
	if err != nil {
		return err
	}
	return tree.Copy(ctx, r.Artifacts(), from.Artifacts())
}
