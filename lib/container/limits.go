package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/containers"
	"github.com/containerd/containerd/oci"
	units "github.com/docker/go-units"
	"github.com/opencontainers/runtime-spec/specs-go"

	"pipex/lib/rootless"
)

// Limits bound what a container may use; zero is no limit.
type Limits struct {
	Memory int64 // bytes
	CPUs   float64
	Pids   int64
	Shm    int64 // bytes of /dev/shm
	// Ulimits are NAME=SOFT[:HARD].
	Ulimits []string
}

// Check returns an error for a limit that this machine cannot apply.
func (l Limits) Check() error {
	if l.Memory == 0 && l.CPUs == 0 && l.Pids == 0 {
		return nil
	}
	if rootless.Inside() {
		return errors.New("cannot limit memory, CPUs or the number of processes: a rootless containerd has no control groups; leave the limit out")
	}
	has, err := controllers()
	if err != nil {
		return err
	}
	for _, c := range []struct {
		wanted           bool
		controller, what string
	}{{l.Memory > 0, "memory", "memory"}, {l.CPUs > 0, "cpu", "CPUs"}, {l.Pids > 0, "pids", "the number of processes"}} {
		if c.wanted && !slices.Contains(has, c.controller) {
			return fmt.Errorf("cannot limit %s: this machine has no control group for it (controller %q); leave the limit out", c.what, c.controller)
		}
	}
	return nil
}

// cpuPeriod is what a processor's time is counted by, in microseconds; the
// kernel's default.
const cpuPeriod = 100_000

// withLimits applies limits that have passed their check.
func withLimits(l Limits) oci.SpecOpts {
	return func(ctx context.Context, client oci.Client, c *containers.Container, s *oci.Spec) error {
		var opts []oci.SpecOpts
		if l.Memory > 0 {
			opts = append(opts, oci.WithMemoryLimit(uint64(l.Memory)))
		}
		if l.CPUs > 0 {
			opts = append(opts, oci.WithCPUCFS(int64(l.CPUs*cpuPeriod), cpuPeriod))
		}
		if l.Pids > 0 {
			opts = append(opts, oci.WithPidsLimit(l.Pids))
		}
		if l.Shm > 0 {
			opts = append(opts, oci.WithDevShmSize(l.Shm/1024))
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

// Usage is what a container's processes have used until now.
type Usage struct {
	// PeakMemory is in bytes, page cache included; zero if it is not known.
	PeakMemory int64
	CPU        time.Duration
	// OOMKilled says that one of them was killed for want of memory.
	OOMKilled bool
}

// Usage reads what a task has used from its control groups (cgroups(7)), which
// are there until it is deleted. What they do not tell is zero.
func (t *Task) Usage() Usage {
	dirs, _ := hierarchies()
	for i := range dirs {
		dirs[i] = filepath.Join(dirs[i], t.client.Namespace, t.id)
	}
	return usage(dirs)
}

// usage is what the control groups of one container tell, of either version: one
// directory for each controller, or one for all.
func usage(dirs []string) (u Usage) {
	for _, dir := range dirs {
		u.PeakMemory = max(u.PeakMemory, number(dir, "memory.peak", ""), number(dir, "memory.max_usage_in_bytes", ""))
		u.CPU = max(u.CPU, time.Duration(number(dir, "cpuacct.usage", "")), time.Duration(number(dir, "cpu.stat", "usage_usec"))*time.Microsecond)
		u.OOMKilled = u.OOMKilled || number(dir, "memory.events", "oom_kill") > 0 || number(dir, "memory.oom_control", "oom_kill") > 0
	}
	return u
}

// number reads a number from a control group's file: all that it holds, or what
// stands behind a key.
func number(dir, file, key string) int64 {
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		name, value, keyed := strings.Cut(strings.TrimSpace(line), " ")
		if !keyed {
			name, value = "", name
		}
		if name == key {
			n, _ := strconv.ParseInt(value, 10, 64)
			return n
		}
	}
	return 0
}

// inits are programs, linked statically, that are made to be process 1 of a
// container: they pass signals on and reap orphans.
var inits = []string{"tini-static", "docker-init"}

// initPath is where a container sees its init: in /dev, which is its own, so that
// nothing appears in its root file system.
const initPath = "/dev/init"

// Init is the path of an init on this machine, or empty if there is none.
func Init() string {
	for _, name := range inits {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}
