package verb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pipex/lib/container"
	"pipex/lib/idmap"
	"pipex/lib/network"
	"pipex/lib/process"
	"pipex/lib/rootless"
	"pipex/lib/step"
	"pipex/lib/trace"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

// Prepare tells what to prepare.
type Prepare struct {
	Place
	Spec step.Spec
	// RunID is the id to use; a new one if it is empty.
	RunID string
	// Cached asks for a committed, successful run with the same fingerprint
	// before a new one is made.
	Cached bool
	// By is who is going to execute the run; see [workspace.Workspace.Claim].
	By process.ID
	// Resolve finds the image; it is lib/image's, handed in so that the verbs
	// that need no images do not carry what fetches them.
	Resolve func(ctx context.Context, c *container.Client, s *step.Spec) (*container.Image, error)
}

// Prepared is a run that is ready to be executed, or was committed before.
type Prepared struct {
	RunID       string `json:"run"`
	Fingerprint string `json:"fingerprint"`
	// UpToDate says that the run is a committed one and nothing was created.
	UpToDate bool `json:"upToDate"`
}

// Do turns everything that could change into something that cannot: the image
// into a digest that is leased, inputs into runs, host paths into the digest
// of their content. Then it makes the open run, complete or not at all.
//
// It takes the workspace lock, shared, and the run's lock.
func (p Prepare) Do(ctx context.Context) (*Prepared, error) {
	if p.RunID == "" {
		p.RunID = workspace.NewID()
	}
	if err := workspace.CheckName("run", p.RunID); err != nil {
		return nil, err
	}
	d, err := p.decide(ctx)
	if err != nil {
		return nil, err
	}
	defer d.close()
	if d.ws == nil {
		if d.ws, err = workspace.Create(p.Workdir, p.Workspace); err != nil {
			return nil, err
		}
	}
	return p.stage(ctx, d)
}

// decision is what a step has been found to be, but for its inputs, which other
// processes may change until they are held.
type decision struct {
	ws     *workspace.Workspace // nil if there is none yet
	host   host
	client *container.Client // nil if there is no image
	image  *container.Image
}

func (d *decision) close() {
	if d.client != nil {
		d.client.Close()
	}
}

// decide does all that can fail without a lock, and creates nothing.
func (p *Prepare) decide(ctx context.Context) (*decision, error) {
	if err := p.Spec.Check(); err != nil {
		return nil, err
	}
	ws, err := p.open()
	if errors.Is(err, workspace.ErrNoWorkspace) {
		err = p.withoutWorkspace(err)
	}
	if err != nil {
		return nil, err
	}
	if ws != nil {
		if _, err := ws.Run(p.RunID); p.RunID != "" && err == nil {
			return nil, fmt.Errorf("run %q %w", p.RunID, workspace.ErrExists)
		}
		if _, err := p.inputs(ws); err != nil {
			return nil, err
		}
	}
	l := p.Spec.Limits
	if err := (container.Limits{Memory: int64(l.Memory), CPUs: l.CPUs, Pids: l.Pids}).Check(); err != nil {
		return nil, err
	}
	h, err := p.host(ctx, ws)
	if err != nil {
		return nil, err
	}
	for _, n := range p.Spec.Networks() {
		if n.Attached() {
			if err := network.Check(string(n)); err != nil {
				return nil, err
			}
		}
	}
	if err := container.CheckDevices(p.Spec.Devices); err != nil {
		return nil, err
	}
	for _, secret := range p.Spec.Secrets {
		if _, err := os.Stat(secret.File); secret.File != "" && err != nil {
			return nil, fmt.Errorf("cannot use secret %q: %w", secret.Name, err)
		}
	}
	client, image, err := p.image(ctx)
	if err != nil {
		return nil, err
	}
	return &decision{ws, h, client, image}, nil
}

// withoutWorkspace says why nothing can be prepared in a workspace that does not
// exist yet, if so: it has no run to read from.
func (p *Prepare) withoutWorkspace(why error) error {
	for _, in := range p.Spec.Inputs {
		if !in.Optional {
			return fmt.Errorf("cannot use input %q: %w", in.Step, why)
		}
	}
	return nil
}

// host is what the step sees of the host, pinned.
type host struct {
	mounts, sources []workspace.Mount
	users           *idmap.Map
	// trees are the content of mounts and sources, by digest.
	trees map[string]*tree.Tree
}

func (p *Prepare) host(ctx context.Context, ws *workspace.Workspace) (h host, err error) {
	h.trees = map[string]*tree.Tree{}
	if h.users, err = p.users(); err != nil {
		return h, err
	}
	if h.mounts, err = p.pin(ctx, ws, p.Spec.Mounts, h.trees); err != nil {
		return h, err
	}
	h.sources, err = p.pin(ctx, ws, p.Spec.Sources, h.trees)
	return h, err
}

// users says who the container's users are here; nil if they are just those. In a
// rootless containerd its root is the caller in any case.
func (p *Prepare) users() (*idmap.Map, error) {
	if !p.Spec.Userns || rootless.Inside() {
		return nil, nil
	}
	return idmap.Caller()
}

func (p *Prepare) stage(ctx context.Context, d *decision) (*Prepared, error) {
	ws, client, image := d.ws, d.client, d.image
	if client != nil {
		if err := container.CheckLog(ws.Root); err != nil {
			return nil, err
		}
	}
	shared, err := ws.Shared(ctx)
	if err != nil {
		return nil, err
	}
	defer shared.Release()
	m, err := p.meta(ctx, d)
	if err != nil {
		return nil, err
	}
	if p.Cached {
		if id, err := lookup(ws, m.Fingerprint); err != nil || id != "" {
			return &Prepared{RunID: id, Fingerprint: m.Fingerprint, UpToDate: true}, err
		}
	}
	held, err := ws.HoldRun(p.RunID, "prepare")
	if err != nil {
		return nil, err
	}
	defer held.Release()
	needed := p.Spec.Caches
	if p.Spec.Setup != nil {
		needed = slices.Concat(needed, p.Spec.Setup.Caches)
	}
	for _, c := range needed {
		if _, err := ws.PrepareCache(c.Name); err != nil {
			return nil, err
		}
	}
	if client != nil {
		id := owner(ws, p.RunID, p.Spec.Step).NewID()
		m.Container = &workspace.Container{
			ID: id, Namespace: client.Namespace, Snapshotter: client.Snapshotter,
			ChainID: image.ChainID, Entrypoint: image.Entrypoint, Env: image.Env,
		}
		err = client.Lease(ctx, container.Object{ID: id, Owner: owner(ws, p.RunID, p.Spec.Step)}, image.Digest)
	}
	if err == nil {
		_, err = ws.Stage(m, shared, func(r workspace.Run) error {
			p.warn(ws.KeepTrees(r, d.host.trees))
			return copyInputs(ctx, ws, r, m.Inputs)
		})
	}
	if err != nil {
		if client != nil {
			p.warn(client.Forget(context.WithoutCancel(ctx), m.Container.ID))
		}
		return nil, err
	}
	p.warn(ws.Claim(p.RunID, p.By))
	return &Prepared{RunID: p.RunID, Fingerprint: m.Fingerprint}, nil
}

// inputs resolves each input to a committed run, without its digest.
func (p *Prepare) inputs(ws *workspace.Workspace) ([]workspace.Input, error) {
	var inputs []workspace.Input
	for _, in := range p.Spec.Inputs {
		id := in.Run
		if id == "" {
			linked, err := ws.Linked(in.Step)
			if errors.Is(err, workspace.ErrNoStep) && in.Optional {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("cannot use input %q: %w; pipex-link names a run", in.Step, err)
			}
			id = linked
		}
		run, err := ws.Run(id)
		if errors.Is(err, workspace.ErrNoRun) && in.Optional {
			continue
		}
		if err == nil && !run.Committed {
			err = fmt.Errorf("run %q is %w", id, workspace.ErrNotCommitted)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot use input %q: %w", in.Step, err)
		}
		inputs = append(inputs, workspace.Input{Step: in.Step, RunID: id, MountedAs: in.Path, Copied: in.Copy})
	}
	return inputs, nil
}

// digestInput fills in what an input's artifacts are: commit wrote it down, but
// for a run of another tool.
func digestInput(ctx context.Context, ws *workspace.Workspace, in *workspace.Input) error {
	run, err := ws.Run(in.RunID)
	if err != nil {
		return err
	}
	if m, err := run.Meta(); err == nil && m.Artifacts != nil {
		in.Digest = m.Artifacts.Digest
		return nil
	}
	content, err := tree.Scan(ctx, run.Artifacts())
	if err != nil {
		return fmt.Errorf("cannot read input %q: %w", in.Step, err)
	}
	in.Digest = content.Digest()
	return nil
}

// pin pins each host path to what it really is and to its content, which it adds to
// trees.
func (p *Prepare) pin(ctx context.Context, ws *workspace.Workspace, list []step.Mount, trees map[string]*tree.Tree) ([]workspace.Mount, error) {
	var mounts []workspace.Mount
	for _, m := range list {
		end := trace.Region("hash %s", m.Host)
		real, err := filepath.EvalSymlinks(m.Host)
		if err != nil {
			return nil, fmt.Errorf("cannot mount %q: %w", m.Host, reason(err))
		}
		content, err := p.Hash(ctx, ws, real)
		if err != nil {
			return nil, fmt.Errorf("cannot mount %q: %w", m.Host, err)
		}
		end()
		digest := content.Digest()
		trees[digest] = content
		mounts = append(mounts, workspace.Mount{HostPath: real, ContainerPath: m.Path, Digest: digest})
	}
	return mounts, nil
}

// Hash reads the content of a host path, through the workspace's memory of it
// if there is a workspace yet. What pipex itself keeps below that path, or the
// containerd of pipex-containerd that it talks to, is no content of the step's: it
// changes all the time.
func (p Place) Hash(ctx context.Context, ws *workspace.Workspace, path string) (*tree.Tree, error) {
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

// daemonLock is in a directory that is pipex-containerd's alone.
const daemonLock = "pipex.lock"

// image resolves the image, if there is one to be resolved.
func (p *Prepare) image(ctx context.Context) (*container.Client, *container.Image, error) {
	if p.Spec.Image == "" {
		return nil, nil, nil
	}
	client, err := p.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	image, err := p.Resolve(ctx, client, &p.Spec)
	if err == nil && p.Spec.Entrypoint != nil {
		image.Entrypoint, image.Cmd = *p.Spec.Entrypoint, nil
	}
	if err == nil && len(p.Spec.Cmd) == 0 && len(image.Cmd) == 0 && len(image.Entrypoint) == 0 {
		err = step.Usage("no command: the image %q has none either; give one after --", p.Spec.Image)
	}
	if err != nil {
		client.Close()
		return nil, nil, err
	}
	return client, image, nil
}

// meta is the record of the run that is about to be made. The caller holds the
// workspace lock, shared, so that the inputs stay.
func (p *Prepare) meta(ctx context.Context, d *decision) (*workspace.Meta, error) {
	var inputs []workspace.Input
	if d.ws != nil {
		var err error
		if inputs, err = p.inputs(d.ws); err != nil {
			return nil, err
		}
	}
	for i := range inputs {
		if err := digestInput(ctx, d.ws, &inputs[i]); err != nil {
			return nil, err
		}
	}
	s, host, image := p.Spec, d.host, d.image
	if image != nil {
		if len(s.Cmd) == 0 {
			s.Cmd = image.Cmd
		}
		if s.Cwd == "" {
			s.Cwd = image.Cwd
		}
		if s.User == "" {
			s.User = image.User
		}
	}
	if s.Cwd == "" {
		s.Cwd = "/"
	}
	m := &workspace.Meta{
		RunID: p.RunID, StepID: s.Step, StepName: s.Name, Image: s.Image, Cmd: append([]string{}, s.Cmd...), Env: s.Env,
		Inputs: inputs, Mounts: host.mounts, Sources: host.sources, Platform: s.Platform, Userns: host.users, AllowNetwork: s.Network != step.NetworkNone, Status: workspace.Prepared,
		PreparedAt: workspace.Now(), Cwd: s.Cwd, User: s.User, Network: string(s.Network), Output: s.Output,
		TimeoutMs: time.Duration(s.Timeout).Milliseconds(), ReadOnly: s.ReadOnly, NoInit: s.NoInit, Limits: limits(s.Limits), Hostname: s.Hostname, Version: workspace.Version, Host: hostName(),
		Devices: s.Devices, CapAdd: s.CapAdd, CapDrop: s.CapDrop, Entrypoint: s.Entrypoint,
	}
	for _, t := range s.Tmpfs {
		m.Tmpfs = append(m.Tmpfs, workspace.Tmpfs{Path: t.Path, Bytes: int64(t.Size)})
	}
	for _, secret := range s.Secrets {
		m.Secrets = append(m.Secrets, workspace.Secret(secret))
	}
	if image != nil {
		m.ImageDigest, m.ImageID = image.Digest, image.ID
	}
	m.Caches, m.CacheMounts = caches(s.Caches)
	if s.Setup != nil {
		m.Setup = &workspace.Setup{Cmd: s.Setup.Cmd, AllowNetwork: s.Setup.Network != step.NetworkNone, Network: string(s.Setup.Network)}
		m.Setup.Caches, m.Setup.CacheMounts = caches(s.Setup.Caches)
	}
	m.Fingerprint = ingredients(m).Fingerprint()
	return m, nil
}

// caches are their record: their names, and where they are seen.
func caches(list []step.Cache) (names []string, mounts []workspace.CacheMount) {
	for _, c := range list {
		names = append(names, c.Name)
		mounts = append(mounts, workspace.CacheMount(c))
	}
	return names, mounts
}

// limits is their record, nil if there are none.
func limits(l step.Limits) *workspace.Limits {
	if l.Memory == 0 && l.CPUs == 0 && l.Pids == 0 && l.ShmSize == 0 && l.LogMax == 0 && len(l.Ulimits) == 0 {
		return nil
	}
	return &workspace.Limits{MemoryBytes: int64(l.Memory), CPUs: l.CPUs, Pids: l.Pids, ShmBytes: int64(l.ShmSize), Ulimits: l.Ulimits, LogMaxBytes: int64(l.LogMax)}
}

// lookup finds the latest committed, successful run with the fingerprint.
func lookup(ws *workspace.Workspace, fingerprint string) (string, error) {
	defer trace.Region("look for fingerprint %s", fingerprint)()
	return ws.Lookup(fingerprint)
}

// copyInputs fills a run's artifacts with those of the inputs to be copied.
func copyInputs(ctx context.Context, ws *workspace.Workspace, r workspace.Run, inputs []workspace.Input) error {
	for _, in := range inputs {
		if !in.Copied {
			continue
		}
		defer trace.Region("copy input %s", in.Step)()
		from, err := ws.Run(in.RunID)
		if err == nil {
			err = tree.Copy(ctx, r.Artifacts(), from.Artifacts())
		}
		if err != nil {
			return fmt.Errorf("cannot copy input %q: %w", in.Step, err)
		}
	}
	return nil
}
