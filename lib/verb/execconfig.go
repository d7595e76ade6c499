package verb

import (
	"errors"
	"fmt"
	"os"
	"path"

	"pipex/lib/container"
	"pipex/lib/step"
)

func (x *execution) network() step.Network {
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
		ChainID: m.Container.ChainID, Image: m.Image,
		Args: append(append([]string{}, m.Container.Entrypoint...), m.Cmd...),
		Cwd:  m.Cwd, User: m.User, Hostname: m.Hostname, ReadOnly: m.ReadOnly,
		HostNetwork: x.network() == step.NetworkHost,
		Stdout:      x.run.Stdout(), Stderr: x.run.Stderr(),
		Env:      append([]string{}, m.Container.Env...),
		Writable: []string{x.run.Artifacts()},
	}
	if len(x.Cmd) > 0 {
		cfg.Args = x.Cmd
	}
	if !m.NoInit {
		cfg.Init = container.Init()
	}
	if l := m.Limits; l != nil {
		cfg.Limits = container.Limits{Memory: l.MemoryBytes, CPUs: l.CPUs, Pids: l.Pids, Shm: l.ShmBytes, Ulimits: l.Ulimits}
	}
	for key, value := range m.Env {
		cfg.Env = append(cfg.Env, key+"="+value)
	}
	err := x.mounts(cfg)
	return cfg, err
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
	for _, c := range x.meta.CacheMounts {
		source, err := x.ws.PrepareCache(c.Name)
		if err != nil {
			return err
		}
		if !c.ReadOnly {
			cfg.Writable = append(cfg.Writable, source)
		}
		errs = append(errs, add("cache "+c.Name, source, c.Path, c.ReadOnly, false))
	}
	network, err := x.ws.NetworkFiles(x.run, cfg.Hostname, cfg.HostNetwork)
	for name, source := range network {
		errs = append(errs, add(name, source, path.Join("/etc", name), true, true))
	}
	return errors.Join(append(errs, err)...)
}
