package verb

import (
	"pipex/lib/step"
	"pipex/lib/workspace"
)

// ingredients are what a run's output is decided by, as its record tells.
func ingredients(m *workspace.Meta) step.Ingredients {
	in := step.Ingredients{
		Image: m.ImageID, Cmd: m.Cmd, Env: m.Env, Cwd: m.Cwd, User: m.User, Network: step.Network(m.Network),
		Output: m.Output, Hostname: m.Hostname, ReadOnly: m.ReadOnly, Userns: m.Userns != nil, Entrypoint: m.Entrypoint,
		Mounts: content(m.Mounts), Sources: content(m.Sources), Caches: places(m.CacheMounts),
		Devices: m.Devices, CapAdd: m.CapAdd, CapDrop: m.CapDrop,
	}
	for _, i := range m.Inputs {
		in.Inputs = append(in.Inputs, step.Content{Path: i.MountedAs, Digest: i.Digest, Copied: i.Copied})
	}
	for _, t := range m.Tmpfs {
		in.Tmpfs = append(in.Tmpfs, t.Path)
	}
	for _, s := range m.Secrets {
		in.Secrets = append(in.Secrets, secretName(s))
	}
	if s := m.Setup; s != nil {
		in.Setup = &step.Prelude{Cmd: s.Cmd, Network: step.Network(s.Network), Caches: places(s.CacheMounts)}
	}
	return in
}

// secretName tells one that is a variable as well from one that is not.
func secretName(s workspace.Secret) string {
	if s.Env {
		return "$" + s.Name
	}
	return s.Name
}

func content(mounts []workspace.Mount) (list []step.Content) {
	for _, m := range mounts {
		list = append(list, step.Content{Path: m.ContainerPath, Digest: m.Digest})
	}
	return list
}

func places(mounts []workspace.CacheMount) (list [][2]string) {
	for _, c := range mounts {
		list = append(list, [2]string{c.Name, c.Path})
	}
	return list
}
