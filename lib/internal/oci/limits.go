package oci

import (
	"context"
	"errors"
	"os/exec"
	"strings"

	"pipex/lib/internal/cgroup"
	"pipex/lib/internal/userns"
	"pipex/lib/step"

	"github.com/containerd/containerd/containers"
	"github.com/containerd/containerd/oci"
	units "github.com/docker/go-units"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// CheckLimits returns an error for a limit that this machine cannot apply.
func CheckLimits(l *step.PinnedLimits) error {
	if l == nil {
		return nil
	}
	wanted := map[string]string{}
	if l.MemoryBytes > 0 {
		wanted["memory"] = "memory"
	}
	if l.CPUs > 0 {
		wanted["cpu"] = "CPUs"
	}
	if l.Pids > 0 {
		wanted["pids"] = "the number of processes"
	}
	if len(wanted) > 0 && userns.Inside() {
		return errors.New("cannot limit memory, CPUs or the number of processes: a rootless containerd has no control groups; leave the limit out")
	}
	return cgroup.Missing(wanted)
}

// cpuPeriod is the period of a CPU limit, in microseconds; the kernel's default.
const cpuPeriod = 100_000

// withLimits applies limits that CheckLimits has accepted.
func withLimits(l *step.PinnedLimits) oci.SpecOpts {
	return func(ctx context.Context, client oci.Client, c *containers.Container, s *oci.Spec) error {
		if l == nil {
			return nil
		}
		var opts []oci.SpecOpts
		if l.MemoryBytes > 0 {
			opts = append(opts, oci.WithMemoryLimit(uint64(l.MemoryBytes)))
		}
		if l.CPUs > 0 {
			opts = append(opts, oci.WithCPUCFS(int64(l.CPUs*cpuPeriod), cpuPeriod))
		}
		if l.Pids > 0 {
			opts = append(opts, oci.WithPidsLimit(l.Pids))
		}
		if l.ShmBytes > 0 {
			opts = append(opts, oci.WithDevShmSize(l.ShmBytes/1024))
		}
		for _, text := range l.Ulimits {
			u, err := units.ParseUlimit(text)
			if err != nil {
				return err
			}
			s.Process.Rlimits = append(s.Process.Rlimits, specs.POSIXRlimit{
				Type: "RLIMIT_" + strings.ToUpper(u.Name), Soft: uint64(u.Soft), Hard: uint64(u.Hard),
			})
		}
		return oci.Compose(opts...)(ctx, client, c, s)
	}
}

// inits are static programs for process 1 of a container: they forward signals and reap
// orphans.
var inits = []string{"tini-static", "docker-init"}

// initPath is the init's path in the container. /dev is a file system of the container's
// own, so nothing is added to its root file system.
const initPath = "/dev/init"

// Init returns the path of an init on this machine, or "" if there is none.
func Init() string {
	for _, name := range inits {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}
