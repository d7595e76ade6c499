package oci

import (
	"github.com/opencontainers/runtime-spec/specs-go"

	"pipex/lib/internal/secret"
)

// Secret is a value that the container sees as a file in [step.SecretsPath] and, if Env is
// set, as an environment variable. containerd never gets it.
type Secret struct {
	Name  string
	Value []byte
	Env   bool
}

// variables returns the names of the secrets that are environment variables.
func (c *Container) variables() (names []string) {
	for _, s := range c.Secrets {
		if s.Env {
			names = append(names, s.Name)
		}
	}
	return names
}

// placeSecrets writes the secrets into a container whose task is created and not started.
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

// hostOwner returns the host's ids of a user and a group of the container.
func hostOwner(spec *specs.Spec, uid, gid uint32) secret.Owner {
	return secret.Owner{UID: int(mapped(spec.Linux.UIDMappings, uid)), GID: int(mapped(spec.Linux.GIDMappings, gid))}
}

// mapped returns the host's id of an id in the container; the same id if it is not mapped.
func mapped(mappings []specs.LinuxIDMapping, id uint32) uint32 {
	for _, m := range mappings {
		if id >= m.ContainerID && id-m.ContainerID < m.Size {
			return m.HostID + id - m.ContainerID
		}
	}
	return id
}
