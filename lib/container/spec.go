package container

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
	"github.com/containerd/containerd/oci"
	capability "github.com/containerd/containerd/pkg/cap"
	"github.com/opencontainers/runtime-spec/specs-go"

	"pipex/lib/idmap"
	"pipex/lib/rootless"
	"pipex/lib/secret"
)

// Config says what to run. Everything in it is decided; nothing is looked up
// but a user's name in the container's own /etc/passwd.
type Config struct {
	Object
	// ChainID names the snapshot of the image's layers, ImageID its configuration.
	ChainID, ImageID string
	// Userns maps the container's users; nil for a container without a user
	// namespace of its own.
	Userns *idmap.Map
	// Image is the name under which the image was asked for, for people.
	Image    string
	Args     []string
	Env      []string
	Cwd      string
	User     string
	Hostname string
	ReadOnly bool
	// HostNetwork shares the host's network; otherwise there is only loopback.
	HostNetwork bool
	// NetworkNamespace is the path of one to join; a new one, if it is empty.
	NetworkNamespace string
	Mounts           []Mount
	// Stdout and Stderr are existing files that the container's output is
	// appended to, by containerd's shim, whether or not anybody follows them.
	Stdout, Stderr string
	// Writable are host directories that are given to the command's user, unless
	// that is root: the directories themselves, not what is in them.
	Writable []string
	// Stdin is a FIFO, or empty for none.
	Stdin string
	// Terminal gives the command one. What comes out of it is written to Stdout from
	// its beginning on, over what is there; Stderr is empty.
	Terminal bool
	// Init is a program of the host's, linked statically, that is process 1 and
	// starts the command; see [Init]. Empty has the command be process 1.
	Init   string
	Limits Limits
	// Sources are host paths that the container has copies of.
	Sources []Source
	// Devices are CDI names.
	Devices []string
	// CapAdd and CapDrop are capabilities, or ALL.
	CapAdd, CapDrop []string
	Secrets         []Secret
	// EnvProgram is a program of the host's, linked statically, that calls
	// [secret.Main]; needed where a secret is an environment variable.
	EnvProgram string
}

// Mount puts a host file or directory into the container, or a file system of
// another Type, with Options of its own.
type Mount struct {
	Type, Source, Destination string
	Options                   []string
	ReadOnly                  bool
	// Trusted mounts may hold device nodes and setuid programs that work.
	Trusted bool
}

// Tmpfs is a directory in memory, of so many bytes at most if that is not zero.
func Tmpfs(path string, size int64) Mount {
	options := []string{"nosuid", "nodev", "noexec", "mode=1777"}
	if size > 0 {
		options = append(options, fmt.Sprintf("size=%d", size))
	}
	return Mount{Type: "tmpfs", Source: "tmpfs", Destination: path, Options: options}
}

// dropped are the capabilities that docker gives and a pipeline step does not
// need: making device nodes, becoming somebody else, raw packets.
var dropped = []string{"CAP_MKNOD", "CAP_SETUID", "CAP_SETGID", "CAP_NET_RAW"}

// spec is the OCI runtime configuration of cfg: containerd's default (docker's
// masked paths, no new privileges), with less.
func (c *Client) spec(ctx context.Context, record *containers.Container, cfg *Config) (*oci.Spec, error) {
	opts := []oci.SpecOpts{
		oci.WithDefaultPathEnv,
		oci.WithEnv(cfg.Env),
		oci.WithProcessArgs(cfg.args()...),
		oci.WithProcessCwd(cfg.Cwd),
		oci.WithHostname(cfg.Hostname),
		oci.WithoutRunMount,
		withCapabilities(cfg.CapAdd, cfg.CapDrop),
		withoutRlimits,
		withLimits(cfg.Limits),
	}
	if cfg.Terminal {
		opts = append(opts, withTerminal)
	}
	if cfg.HostNetwork {
		opts = append(opts, oci.WithHostNamespace(specs.NetworkNamespace))
	}
	if cfg.NetworkNamespace != "" {
		opts = append(opts, oci.WithLinuxNamespace(specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: cfg.NetworkNamespace}))
	}
	if !cfg.HostNetwork && (cfg.Userns == nil || cfg.NetworkNamespace == "") {
		opts = append(opts, withOwnNetwork(rootless.Inside() || cfg.Userns != nil))
	}
	if cfg.Userns != nil {
		opts = append(opts, withUserns(cfg.Userns))
	}
	if rootless.Inside() {
		opts = append(opts, withoutCgroups)
	} else {
		opts = append(opts, withCgroups, withOOMScore)
	}
	if rootless.Inside() || cfg.Userns != nil {
		opts = append(opts, withHostSysfs)
	}
	if cfg.ReadOnly {
		opts = append(opts, oci.WithRootFSReadonly())
	}
	if cfg.User != "" {
		opts = append(opts, withUser(cfg.User))
	}
	if len(cfg.Devices) > 0 {
		opts = append(opts, withDevices(cfg.Devices))
	}
	opts = append(opts, withSeccomp)
	return oci.GenerateSpec(ctx, c, record, opts...)
}

func (c *Config) args() []string {
	var before []string
	if c.Init != "" {
		before = []string{initPath, "--"}
	}
	return append(append(before, secret.Args(c.variables())...), c.Args...)
}

func (c *Config) mounts() []Mount {
	mounts := slices.Clone(c.Mounts)
	if c.Init != "" {
		mounts = append(mounts, Mount{Source: c.Init, Destination: initPath, ReadOnly: true})
	}
	if len(c.variables()) > 0 {
		mounts = append(mounts, Mount{Source: c.EnvProgram, Destination: secret.Program, ReadOnly: true})
	}
	if len(c.Secrets) > 0 {
		mounts = append(mounts, Mount{Type: "tmpfs", Source: "tmpfs", Destination: secret.Dir, Options: []string{"nosuid", "nodev", "noexec", "mode=0755", "size=16m"}})
	}
	return mounts
}

// withCapabilities gives docker's capabilities, less those that a step does not
// need, and what is asked for. ALL comes first, single ones after it.
func withCapabilities(add, drop []string) oci.SpecOpts {
	return func(ctx context.Context, client oci.Client, c *containers.Container, s *oci.Spec) error {
		own, err := capability.Current()
		if err != nil {
			return err
		}
		for _, name := range add {
			if name != allCapabilities && !slices.Contains(own, name) {
				return fmt.Errorf("cannot give capability %s: the kernel or who runs containerd here has none", name)
			}
		}
		given := slices.Clone(s.Process.Capabilities.Bounding)
		given = slices.DeleteFunc(given, func(name string) bool { return slices.Contains(dropped, name) })
		if slices.Contains(drop, allCapabilities) {
			given = nil
		}
		if slices.Contains(add, allCapabilities) {
			given = own
		}
		for _, name := range add {
			if name != allCapabilities && !slices.Contains(given, name) {
				given = append(given, name)
			}
		}
		given = slices.DeleteFunc(given, func(name string) bool { return slices.Contains(drop, name) })
		return oci.WithCapabilities(given)(ctx, client, c, s)
	}
}

const allCapabilities = "ALL"

// withTerminal leaves a TERM that the step gives itself.
func withTerminal(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	s.Process.Terminal = true
	if !slices.ContainsFunc(s.Process.Env, func(v string) bool { return strings.HasPrefix(v, "TERM=") }) {
		s.Process.Env = append(s.Process.Env, "TERM=xterm")
	}
	return nil
}

// withoutRlimits leaves the limits that containerd itself runs under, as docker
// does; 1024 open files, the default otherwise, is too few for data.
func withoutRlimits(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	s.Process.Rlimits = nil
	return nil
}

// withOOMScore has the kernel choose the step as it would the caller when memory runs
// out. The shim's own score, which it would have otherwise, keeps it from ever
// being chosen where containerd runs as Debian's unit file has it. Who is not root can
// run no containerd like that, nor lower a score.
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

// withCgroups shows the container its own control groups and no others, to be read:
// programs that size themselves look there for their limits.
func withCgroups(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.CgroupNamespace})
	s.Mounts = append(s.Mounts, specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"ro", "nosuid", "noexec", "nodev"}})
	return nil
}

// withoutCgroups leaves out control groups at a path of ours, which only the
// machine's root can make.
func withoutCgroups(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	s.Linux.CgroupsPath = ""
	return nil
}

// withOwnNetwork lets all users of the container have all ports of its network, and send
// ICMP echo requests there (icmp(7)). In a user namespace not all groups exist that the
// latter would be said of.
func withOwnNetwork(mapped bool) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
		s.Linux.Sysctl = map[string]string{"net.ipv4.ip_unprivileged_port_start": "0"}
		if !mapped {
			s.Linux.Sysctl["net.ipv4.ping_group_range"] = "0 2147483647"
		}
		return nil
	}
}

// withHostSysfs shows the host's sysfs where the container's user namespace has no
// network namespace of its own that one could be of.
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

// withSeccomp is docker's profile, for the host's own architecture and its 32-bit one;
// another would end with a signal. Of amd64's the x32 one, which nothing is made for, is
// left out: each costs milliseconds of an exec.
func withSeccomp(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	s.Linux.Seccomp = seccomp.DefaultProfile(s)
	switch runtime.GOARCH {
	case "amd64":
		s.Linux.Seccomp.Architectures = []specs.Arch{specs.ArchX86_64, specs.ArchX86}
	case "arm64":
		s.Linux.Seccomp.Architectures = []specs.Arch{specs.ArchAARCH64, specs.ArchARM}
	}
	return nil
}

// withUser looks the user up in the container's root file system, with the
// groups that it is in, unless one is given.
func withUser(user string) oci.SpecOpts {
	return func(ctx context.Context, client oci.Client, c *containers.Container, s *oci.Spec) error {
		name, _, group := strings.Cut(user, ":")
		err := oci.WithUser(user)(ctx, client, c, s)
		if err == nil && !group {
			err = oci.WithAdditionalGIDs(name)(ctx, client, c, s)
		}
		if err != nil {
			// containerd's own words around the reason name a temporary mount.
			for inner := err; inner != nil; inner = errors.Unwrap(inner) {
				err = inner
			}
			return &UserError{user, err}
		}
		return nil
	}
}

// UserError says that there is no such user in the container.
type UserError struct {
	User string
	err  error
}

func (e *UserError) Error() string {
	return fmt.Sprintf("cannot run as user %q: %v; give UID:GID for one that the image does not know", e.User, e.err)
}

// addMounts adds mounts, outer ones first whatever their order.
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
