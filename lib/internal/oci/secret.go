package oci

import (
	"github.com/opencontainers/runtime-spec/specs-go"

	"pipex/lib/internal/secret"
)

// Secret is a value that the container sees as a file in [step.SecretsPath], and as an
// environment variable if Env says so. containerd is not told of it.
type Secret struct {
	Name  string
	Value []byte
	Env   bool
}

// variables are the names of the secrets that are environment variables.
func (c *Container) variables() (names []string) {
	for _, s := range c.Secrets {
		if s.Env {
			names = append(names, s.Name)
		}
	}
	return names
}

// placeSecrets gives a task that is created and has not begun its secrets.
func (c *Container) placeSecrets(pid uint32, spec *specs.Spec) error {
	if len(c.Secrets) == 0 {
		return nil
	}
	values := map[string][]byte{}
	for _, s := range c.Secrets {
		values[s.Name] = s.Value
	}
	user := spec.Process.User
	return secret.Place(int(pid), values, hostOwner(spec, user.UID, user.GID), hostOwner(spec, 0, 0))
}

// hostOwner is who a user of the container is outside of it.
func hostOwner(spec *specs.Spec, uid, gid uint32) secret.Owner {
	return secret.Owner{UID: int(mapped(spec.Linux.UIDMappings, uid)), GID: int(mapped(spec.Linux.GIDMappings, gid))}
}

// mapped is what a container's id is outside of it; itself without a mapping.
func mapped(mappings []specs.LinuxIDMapping, id uint32) uint32 {
	for _, m := range mappings {
		if id >= m.ContainerID && id-m.ContainerID < m.Size {
			return m.HostID + id - m.ContainerID
		}
	}
	return id
}
