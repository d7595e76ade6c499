package oci

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/containerd/containerd/containers"
	"github.com/containerd/containerd/contrib/seccomp"
	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/containerd/oci"
	capability "github.com/containerd/containerd/pkg/cap"
	"github.com/opencontainers/runtime-spec/specs-go"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/secret"
	"pipex/lib/internal/userns"
	"pipex/lib/step"
)

// Mount mounts a host file or directory in the container, or a file system of another Type
// with its own Options.
type Mount struct {
	Type, Source, Destination string
	Options                   []string
	ReadOnly                  bool
	// Trusted mounts allow device nodes and setuid programs (no nodev, no nosuid).
	Trusted bool
}

// tmpfs returns the mount of a directory in memory.
func tmpfs(t step.PinnedTmpfs) Mount {
	options := []string{"nosuid", "nodev", "noexec", "mode=1777"}
	if t.Bytes > 0 {
		options = append(options, fmt.Sprintf("size=%d", t.Bytes))
	}
	return Mount{Type: "tmpfs", Source: "tmpfs", Destination: t.Path, Options: options}
}

// dropped are the capabilities that docker gives and a pipeline step does not need: creating
// device nodes, changing user and group, raw packets.
var dropped = []string{"CAP_MKNOD", "CAP_SETUID", "CAP_SETGID", "CAP_NET_RAW"}

// runtimeSpec returns the OCI runtime configuration of a container: containerd's default
// (docker's masked paths, no new privileges) with fewer capabilities. This is where a new
// option of a step is applied.
func runtimeSpec(ctx context.Context, c *containerd.Client, cfg *Container) (*oci.Spec, error) {
	p := cfg.Step
	opts := []oci.SpecOpts{
		oci.WithDefaultPathEnv,
		oci.WithEnv(cfg.Env),
		oci.WithProcessArgs(cfg.args()...),
		oci.WithProcessCwd(p.Cwd),
		oci.WithHostname(p.Hostname),
		oci.WithoutRunMount,
		withCapabilities(p.CapAdd, p.CapDrop),
		withoutRlimits,
		withLimits(p.Limits),
	}
	if cfg.Terminal {
		opts = append(opts, withTerminal)
	}
	hostNetwork := cfg.Network == step.NetworkHost
	if hostNetwork {
		opts = append(opts, oci.WithHostNamespace(specs.NetworkNamespace))
	}
	if cfg.NetworkNamespace != "" {
		opts = append(opts, oci.WithLinuxNamespace(specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: cfg.NetworkNamespace}))
	}
	if !hostNetwork && (p.Userns == nil || cfg.NetworkNamespace == "") {
		opts = append(opts, withOwnNetwork(userns.Inside() || p.Userns != nil))
	}
	if p.Userns != nil {
		opts = append(opts, withUserns(p.Userns))
	}
	if userns.Inside() {
		opts = append(opts, withoutCgroups)
	} else {
		opts = append(opts, withCgroups, withOOMScore)
	}
	if cfg.Cgroup != "" {
		opts = append(opts, oci.WithCgroup(cfg.Cgroup))
	}
	if userns.Inside() || p.Userns != nil {
		opts = append(opts, withHostSysfs)
	}
	if p.ReadOnly {
		opts = append(opts, oci.WithRootFSReadonly())
	}
	if p.User != "" {
		opts = append(opts, withUser(p.User))
	}
	if len(p.Devices) > 0 {
		opts = append(opts, withDevices(p.Devices))
	}
	opts = append(opts, withSeccomp(p.Bits32 || cfg.Architecture != "" && cfg.Architecture == variants[runtime.GOARCH]))
	record := &containers.Container{ID: cfg.ID, Snapshotter: c.Snapshotter, SnapshotKey: cfg.ID}
	return oci.GenerateSpec(ctx, c, record, opts...)
}

func (c *Container) args() []string {
	var before []string
	if c.Init != "" {
		before = []string{initPath, "--"}
	}
	return append(append(before, secret.Args(c.variables())...), c.Args...)
}

func (c *Container) mounts() []Mount {
	mounts := slices.Clone(c.Mounts)
	for _, t := range c.Step.Tmpfs {
		mounts = append(mounts, tmpfs(t))
	}
	if c.Init != "" {
		mounts = append(mounts, Mount{Source: c.Init, Destination: initPath, ReadOnly: true})
	}
	if len(c.variables()) > 0 {
		mounts = append(mounts, Mount{Source: c.EnvProgram, Destination: secret.Program, ReadOnly: true})
	}
	if len(c.Secrets) > 0 {
		mounts = append(mounts, Mount{Type: "tmpfs", Source: "tmpfs", Destination: step.SecretsPath, Options: []string{"nosuid", "nodev", "noexec", "mode=0755", "size=16m"}})
	}
	return mounts
}

// withCapabilities gives docker's capabilities without those in dropped, and then applies add
// and drop. ALL is applied before single ones.
func withCapabilities(add, drop []string) oci.SpecOpts {
	return func(ctx context.Context, client oci.Client, c *containers.Container, s *oci.Spec) error {
		own, err := capability.Current()
		if err != nil {
			return err
		}
		for _, name := range add {
			if name != step.CapAll && !slices.Contains(own, name) {
				return fmt.Errorf("cannot give capability %s: the kernel or containerd itself does not have it; leave it out", name)
			}
		}
		given := slices.Clone(s.Process.Capabilities.Bounding)
		given = slices.DeleteFunc(given, func(name string) bool { return slices.Contains(dropped, name) })
		if slices.Contains(drop, step.CapAll) {
			given = nil
		}
		if slices.Contains(add, step.CapAll) {
			given = own
		}
		for _, name := range add {
			if name != step.CapAll && !slices.Contains(given, name) {
				given = append(given, name)
			}
		}
		given = slices.DeleteFunc(given, func(name string) bool { return slices.Contains(drop, name) })
		return oci.WithCapabilities(given)(ctx, client, c, s)
	}
}

// withTerminal sets TERM for a terminal, unless the step sets it itself.
func withTerminal(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	s.Process.Terminal = true
	if !slices.ContainsFunc(s.Process.Env, func(v string) bool { return strings.HasPrefix(v, "TERM=") }) {
		s.Process.Env = append(s.Process.Env, "TERM=xterm")
	}
	return nil
}

// withoutRlimits gives the command containerd's own limits, as docker does. The default of
// 1024 open files is too low for data processing.
func withoutRlimits(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	s.Process.Rlimits = nil
	return nil
}

// withOOMScore gives the step the caller's OOM score. Otherwise it would inherit the shim's,
// which protects the shim from being killed when memory runs out (Debian's unit file of
// containerd sets it).
func withOOMScore(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	data, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return err
	}
	score, err := strconv.Atoi(strings.TrimSpace(string(data)))
	score = max(score, 0)
	s.Process.OOMScoreAdj = &score
	return err
}

// withCgroups mounts the container's own control groups, read-only: programs read their
// limits there.
func withCgroups(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.CgroupNamespace})
	s.Mounts = append(s.Mounts, specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"ro", "nosuid", "noexec", "nodev"}})
	return nil
}

// withoutCgroups leaves the path of the control groups to runc: without being the machine's
// root we cannot create them at a path of our own.
func withoutCgroups(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	s.Linux.CgroupsPath = ""
	return nil
}

// withOwnNetwork lets all users of the container listen on all ports of its network and send
// ICMP echo requests (icmp(7)). The latter is set for a range of all groups. In a user
// namespace (mapped) it is left out, since not all groups exist there.
func withOwnNetwork(mapped bool) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
		s.Linux.Sysctl = map[string]string{"net.ipv4.ip_unprivileged_port_start": "0"}
		if !mapped {
			s.Linux.Sysctl["net.ipv4.ping_group_range"] = "0 2147483647"
		}
		return nil
	}
}

// withHostSysfs mounts the host's sysfs in a container that has a user namespace and joins a
// network namespace: the kernel does not let it mount its own.
func withHostSysfs(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	if slices.ContainsFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool {
		return n.Type == specs.NetworkNamespace && n.Path == ""
	}) {
		return nil
	}
	for i, m := range s.Mounts {
		if m.Destination == "/sys" {
			s.Mounts[i] = specs.Mount{Destination: "/sys", Type: "bind", Source: "/sys", Options: []string{"rbind", "ro", "nosuid", "noexec", "nodev"}}
		}
	}
	return nil
}

// withSeccomp applies docker's profile for the machine's processor and, if both, for its
// 32-bit variant. The kernel kills programs that are built for another one (SIGSYS). Each
// architecture costs milliseconds per exec: the variant as many as the rest of the profile.
func withSeccomp(both bool) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
		s.Linux.Seccomp = seccomp.DefaultProfile(s)
		if own := architectures[runtime.GOARCH]; own != nil && both {
			s.Linux.Seccomp.Architectures = own
		} else if own != nil {
			s.Linux.Seccomp.Architectures = own[:1]
		}
		return nil
	}
}

// architectures are those of a processor's programs, by Go's name of it: its own and its
// 32-bit variant, of which Go's names are in variants. x32 is left out: no distribution is
// built for it.
var (
	architectures = map[string][]specs.Arch{
		"amd64": {specs.ArchX86_64, specs.ArchX86},
		"arm64": {specs.ArchAARCH64, specs.ArchARM},
	}
	variants = map[string]string{"amd64": "386", "arm64": "arm"}
)

// withUser looks up the user in the container's root file system and, unless a group is
// given, its groups.
func withUser(user string) oci.SpecOpts {
	return func(ctx context.Context, client oci.Client, c *containers.Container, s *oci.Spec) error {
		name, _, group := strings.Cut(user, ":")
		err := oci.WithUser(user)(ctx, client, c, s)
		if err == nil && !group {
			err = oci.WithAdditionalGIDs(name)(ctx, client, c, s)
		}
		if errdefs.IsUnavailable(err) || errdefs.IsUnknown(err) {
			return err // the user was not looked for
		}
		if err != nil {
			// containerd's message around the reason names a temporary mount.
			for inner := err; inner != nil; inner = errors.Unwrap(inner) {
				err = inner
			}
			return &UserError{user, err}
		}
		return nil
	}
}

// UserError says that the user does not exist in the container.
type UserError struct {
	User string
	err  error
}

func (e *UserError) Error() string {
	return fmt.Sprintf("cannot run as user %q: %v; give UID:GID for one that the image does not know", e.User, e.err)
}

// addMounts adds mounts, sorted so that a directory is mounted before what is below it.
func addMounts(s *oci.Spec, mounts []Mount) {
	sort.SliceStable(mounts, func(i, j int) bool { return mounts[i].Destination < mounts[j].Destination })
	for _, m := range mounts {
		if m.Type != "" {
			s.Mounts = append(s.Mounts, specs.Mount{Type: m.Type, Source: m.Source, Destination: m.Destination, Options: m.Options})
			continue
		}
		options := []string{"rbind", "rprivate"}
		if m.ReadOnly {
			options = append(options, "ro")
		}
		if !m.Trusted {
			options = append(options, "nosuid", "nodev")
		}
		s.Mounts = append(s.Mounts, specs.Mount{Type: "bind", Source: m.Source, Destination: m.Destination, Options: options})
	}
}
