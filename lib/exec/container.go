package exec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"pipex/lib/internal/cgroup"
	"pipex/lib/internal/containerd"
	"pipex/lib/internal/network"
	"pipex/lib/internal/oci"
	"pipex/lib/internal/secret"
	"pipex/lib/internal/userns"
	"pipex/lib/internal/version"
	"pipex/lib/name"
	"pipex/lib/step"
)

func (x *execution) network() step.Network {
	if x.setup {
		return x.meta.Setup.Network
	}
	if x.Network != "" {
		return x.Network
	}
	return x.meta.Network
}

// container returns the container to be created: the decided step, with what this exec
// replaces.
func (x *execution) container() (*oci.Container, error) {
	m := x.meta
	c := &oci.Container{
		Object: containerd.Object{ID: m.Container.ID, Owner: containerd.Owner{
			Workspace: x.ws.ID, Workdir: x.ws.Root, Run: x.run.ID, Step: m.StepID, Job: x.Job, Version: version.String(),
		}},
		Step: &m.Pinned, ChainID: m.Container.ChainID, Architecture: m.Container.Architecture,
		Args: slices.Concat(m.Container.Entrypoint, m.Cmd), Env: x.variables(),
		Network:  x.network(),
		Writable: []string{x.run.Artifacts()},
		Streams:  containerd.Streams{Stdout: x.run.Stdout(), Stderr: x.run.Stderr()},
	}
	if x.BelowCaller {
		if userns.Inside() {
			return nil, errors.New("--cgroup-parent self is not possible: a rootless containerd has no control groups")
		}
		var err error
		if x.group, err = cgroup.Below(m.Container.Namespace, m.Container.ID); err != nil {
			return nil, err
		}
		c.Cgroup = x.group
	}
	switch {
	case len(x.Cmd) > 0:
		c.Args = x.Cmd
	case x.setup:
		c.Args = m.Setup.Cmd
	}
	if !m.NoInit {
		c.Init = oci.Init()
	}
	if err := x.secrets(c); err != nil {
		return nil, err
	}
	if x.view != nil {
		if err := x.look(c); err != nil {
			return nil, err
		}
	}
	return c, x.mounts(c)
}

// variables returns HOSTNAME, the image's variables and the step's own. Later ones
// override earlier ones.
func (x *execution) variables() []string {
	var env []string
	if x.meta.Hostname != "" {
		env = append(env, "HOSTNAME="+x.meta.Hostname)
	}
	env = append(env, x.meta.Container.Env...)
	for _, key := range slices.Sorted(maps.Keys(x.meta.Env)) {
		env = append(env, key+"="+x.meta.Env[key])
	}
	// getenv(3) takes the first of two variables that have one name, a shell the last.
	last := map[string]int{}
	for i, variable := range env {
		key, _, _ := strings.Cut(variable, "=")
		last[key] = i
	}
	kept := env[:0]
	for i, variable := range env {
		if key, _, _ := strings.Cut(variable, "="); last[key] == i {
			kept = append(kept, variable)
		}
	}
	return kept
}

// secrets adds the secrets to c and reads their values.
func (x *execution) secrets(c *oci.Container) error {
	for _, s := range x.meta.Secrets {
		value, err := x.readSecret(s)
		if err != nil {
			return err
		}
		c.Secrets = append(c.Secrets, oci.Secret{Name: s.Name, Value: value, Env: s.Env})
		if s.Env && c.EnvProgram == "" {
			if err := secret.CheckProgram(x.EnvProgram); err != nil {
				return fmt.Errorf("cannot pass secret %q as a variable: %w", s.Name, err)
			}
			c.EnvProgram = x.EnvProgram
		}
	}
	return nil
}

// maxSecret is the greatest size of a secret, in bytes. Larger files belong in a mount.
const maxSecret = 1 << 20

func (x *execution) readSecret(s step.Secret) ([]byte, error) {
	var value string
	var ok bool
	if x.Lookup != nil {
		value, ok = x.Lookup(s.Name)
	}
	data := []byte(value)
	if s.File != "" {
		var err error
		if data, err = readAtMost(s.File, maxSecret+1); err != nil {
			return nil, fmt.Errorf("cannot read secret %q: %w", s.Name, err)
		}
	} else if !ok {
		return nil, fmt.Errorf("secret %q is not in the environment: pipex-exec reads it there, or from a file with --secret %s=FILE", s.Name, s.Name)
	}
	if len(data) > maxSecret {
		return nil, fmt.Errorf("secret %q is larger than %d bytes; use --mount for a file of that size", s.Name, maxSecret)
	}
	if s.Env && bytes.ContainsRune(data, 0) {
		return nil, fmt.Errorf("secret %q holds a NUL byte and cannot be an environment variable", s.Name)
	}
	return data, nil
}

// readAtMost reads the first bytes of a file, which may have no end.
func readAtMost(path string, n int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, n))
}

// mounts adds to c what the container sees of the host. It fails if something has been
// removed since the run was prepared.
func (x *execution) mounts(c *oci.Container) error {
	add := func(what, source, destination string, readOnly, trusted bool) error {
		if _, err := os.Stat(source); err != nil {
			return fmt.Errorf("%s is gone since run %q was prepared: %w", what, x.run.ID, name.Reason(err))
		}
		c.Mounts = append(c.Mounts, oci.Mount{Source: source, Destination: destination, ReadOnly: readOnly, Trusted: trusted})
		return nil
	}
	var errs []error
	if x.view == nil {
		errs = append(errs, add("the output", x.run.Artifacts(), x.meta.Output, false, false))
	}
	for _, in := range x.meta.Inputs {
		if in.MountedAs == "" {
			continue
		}
		from, err := x.ws.Run(in.RunID)
		if err != nil {
			return fmt.Errorf("input %q is gone since run %q was prepared: %w", in.Step, x.run.ID, err)
		}
		errs = append(errs, add("input "+in.Step, from.Artifacts(), in.MountedAs, true, false))
	}
	for _, m := range x.meta.Mounts {
		errs = append(errs, add(fmt.Sprintf("mount %q", m.HostPath), m.HostPath, m.ContainerPath, true, true))
	}
	for _, cache := range x.cacheMounts() {
		source, err := x.ws.PrepareCache(cache.Name)
		if err != nil {
			return err
		}
		if !cache.ReadOnly {
			c.Writable = append(c.Writable, source)
		}
		errs = append(errs, add("cache "+cache.Name, source, cache.Path, cache.ReadOnly, false))
	}
	return errors.Join(errs...)
}

// cacheMounts returns the caches that the command sees. A setup's own cache replaces a
// cache of the step that has its name or its path.
func (x *execution) cacheMounts() []step.Cache {
	if !x.setup {
		return x.meta.CacheMounts
	}
	own := x.meta.Setup.CacheMounts
	others := slices.DeleteFunc(slices.Clone(x.meta.CacheMounts), func(c step.Cache) bool {
		return slices.ContainsFunc(own, func(o step.Cache) bool { return o.Name == c.Name || o.Path == c.Path })
	})
	return append(others, own...)
}

// attachNetwork sets up the container's network, if CNI provides it. It mounts the
// hosts and resolv.conf files for the network over those in /etc, unless the step mounts
// its own there.
func (x *execution) attachNetwork(ctx context.Context, c *oci.Container) error {
	var files map[string]string
	var err error
	if x.network().Attached() {
		var n *network.Network
		if n, err = network.Paths(x.CNI).Setup(ctx, c.ID, string(x.network()), x.meta.Hostname); err == nil {
			c.NetworkNamespace, files = n.Namespace, n.Files
		}
	} else {
		files, err = x.ws.NetworkFiles(x.run, x.meta.Hostname, c.Network == step.NetworkHost)
	}
	for name, source := range files {
		destination := path.Join("/etc", name)
		if !slices.ContainsFunc(c.Mounts, func(m oci.Mount) bool { return m.Destination == destination }) {
			c.Mounts = append(c.Mounts, oci.Mount{Source: source, Destination: destination, ReadOnly: true, Trusted: true})
		}
	}
	return err
}
