package verb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"

	"pipex/lib/container"
	"pipex/lib/network"
	"pipex/lib/secret"
	"pipex/lib/step"
	"pipex/lib/workspace"
)

func (x *execution) network() step.Network {
	if x.setup {
		return step.Network(x.meta.Setup.Network)
	}
	if x.Network != "" {
		return x.Network
	}
	return step.Network(x.meta.Network)
}

// config is what containerd is to run.
func (x *execution) config() (*container.Config, error) {
	m := x.meta
	cfg := &container.Config{
		Object:  container.Object{ID: m.Container.ID, Owner: owner(x.ws, x.run.ID, m.StepID)},
		ChainID: m.Container.ChainID, ImageID: m.ImageID, Image: m.Image, Userns: m.Userns,
		Args: append(append([]string{}, m.Container.Entrypoint...), m.Cmd...),
		Cwd:  m.Cwd, User: m.User, Hostname: m.Hostname, ReadOnly: m.ReadOnly,
		HostNetwork: x.network() == step.NetworkHost,
		Stdout:      x.run.Stdout(), Stderr: x.run.Stderr(),
		Env:      append([]string{}, m.Container.Env...),
		Writable: []string{x.run.Artifacts()},
	}
	if m.Hostname != "" {
		cfg.Env = append([]string{"HOSTNAME=" + m.Hostname}, cfg.Env...)
	}
	switch {
	case len(x.Cmd) > 0:
		cfg.Args = x.Cmd
	case x.setup:
		cfg.Args = m.Setup.Cmd
	}
	if !m.NoInit {
		cfg.Init = container.Init()
	}
	if l := m.Limits; l != nil {
		cfg.Limits = container.Limits{Memory: l.MemoryBytes, CPUs: l.CPUs, Pids: l.Pids, Shm: l.ShmBytes, Ulimits: l.Ulimits}
	}
	cfg.Devices, cfg.CapAdd, cfg.CapDrop = m.Devices, m.CapAdd, m.CapDrop
	for _, s := range m.Sources {
		cfg.Sources = append(cfg.Sources, container.Source{Host: s.HostPath, Destination: s.ContainerPath})
	}
	for _, t := range m.Tmpfs {
		cfg.Mounts = append(cfg.Mounts, container.Tmpfs(t.Path, t.Bytes))
	}
	if err := x.secrets(cfg); err != nil {
		return nil, err
	}
	for key, value := range m.Env {
		cfg.Env = append(cfg.Env, key+"="+value)
	}
	err := x.mounts(cfg)
	return cfg, err
}

// secrets reads the secrets' values.
func (x *execution) secrets(cfg *container.Config) error {
	for _, s := range x.meta.Secrets {
		value, err := readSecret(s)
		if err != nil {
			return err
		}
		cfg.Secrets = append(cfg.Secrets, container.Secret{Name: s.Name, Value: value, Env: s.Env})
		if s.Env && cfg.EnvProgram == "" {
			if err := secret.CheckProgram(x.EnvProgram); err != nil {
				return fmt.Errorf("cannot make a variable of secret %q: %w", s.Name, err)
			}
			cfg.EnvProgram = x.EnvProgram
		}
	}
	return nil
}

// maxSecret bounds a secret, in bytes.
const maxSecret = 1 << 20

func readSecret(s workspace.Secret) ([]byte, error) {
	value, ok := os.LookupEnv(s.Name)
	data := []byte(value)
	if s.File != "" {
		var err error
		if data, err = os.ReadFile(s.File); err != nil {
			return nil, fmt.Errorf("cannot read secret %q: %w", s.Name, err)
		}
	} else if !ok {
		return nil, fmt.Errorf("secret %q is not in the environment: pipex-exec reads it there, or in a file with --secret %s=FILE", s.Name, s.Name)
	}
	if len(data) > maxSecret {
		return nil, fmt.Errorf("secret %q is larger than %d bytes; use --mount for a file as large as that", s.Name, maxSecret)
	}
	if s.Env && bytes.ContainsRune(data, 0) {
		return nil, fmt.Errorf("secret %q holds a NUL byte, and cannot be an environment variable", s.Name)
	}
	return data, nil
}

// mounts lists what the container sees of the host. What was there when the run
// was prepared may be gone by now.
func (x *execution) mounts(cfg *container.Config) error {
	add := func(what, source, destination string, readOnly, trusted bool) error {
		if _, err := os.Stat(source); err != nil {
			return fmt.Errorf("%s is gone since run %q was prepared: %w", what, x.run.ID, reason(err))
		}
		cfg.Mounts = append(cfg.Mounts, container.Mount{Source: source, Destination: destination, ReadOnly: readOnly, Trusted: trusted})
		return nil
	}
	errs := []error{add("the output", x.run.Artifacts(), x.meta.Output, false, false)}
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
	for _, c := range x.cacheMounts() {
		source, err := x.ws.PrepareCache(c.Name)
		if err != nil {
			return err
		}
		if !c.ReadOnly {
			cfg.Writable = append(cfg.Writable, source)
		}
		errs = append(errs, add("cache "+c.Name, source, c.Path, c.ReadOnly, false))
	}
	return errors.Join(errs...)
}

// cacheMounts are the caches that the command sees: a setup's own come in place of
// the step's of the same name or at the same path.
func (x *execution) cacheMounts() []workspace.CacheMount {
	if !x.setup {
		return x.meta.CacheMounts
	}
	own := x.meta.Setup.CacheMounts
	others := slices.DeleteFunc(slices.Clone(x.meta.CacheMounts), func(c workspace.CacheMount) bool {
		return slices.ContainsFunc(own, func(o workspace.CacheMount) bool { return o.Name == c.Name || o.Path == c.Path })
	})
	return append(others, own...)
}

// attachNetwork sets up the network that the container is to reach, if that is not
// the host's, and gives the container the files that name hosts, as far as the step
// has none of its own.
func (x *execution) attachNetwork(ctx context.Context, cfg *container.Config) error {
	var files map[string]string
	var err error
	if x.network().Attached() {
		var n *network.Network
		if n, err = network.Setup(ctx, cfg.ID, string(x.network()), cfg.Hostname); err == nil {
			cfg.NetworkNamespace, files = n.Namespace, n.Files
		}
	} else {
		files, err = x.ws.NetworkFiles(x.run, cfg.Hostname, cfg.HostNetwork)
	}
	for name, source := range files {
		destination := path.Join("/etc", name)
		if !slices.ContainsFunc(cfg.Mounts, func(m container.Mount) bool { return m.Destination == destination }) {
			cfg.Mounts = append(cfg.Mounts, container.Mount{Source: source, Destination: destination, ReadOnly: true, Trusted: true})
		}
	}
	return err
}
