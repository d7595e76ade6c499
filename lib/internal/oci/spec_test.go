package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	capability "github.com/containerd/containerd/pkg/cap"
	"github.com/opencontainers/runtime-spec/specs-go"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/secret"
	"pipex/lib/internal/userns"
	"pipex/lib/name"
	"pipex/lib/step"
)

// decided is a step as prepare decides it where little is asked for.
func decided(change func(*step.Pinned)) *Container {
	p := (&step.Spec{Image: "i", Options: step.Options{Cmd: []string{"true"}}}).Complete().Pin()
	p.Cwd = "/"
	if change != nil {
		change(p)
	}
	return &Container{Object: containerd.Object{ID: "id"}, Step: p, Args: p.Cmd, Network: p.Network}
}

// built is the runtime configuration of a container, with its mounts.
func built(t *testing.T, c *Container) *specs.Spec {
	t.Helper()
	client := &containerd.Client{Namespace: "ns", Snapshotter: "overlayfs"} // is not asked anything
	spec, err := runtimeSpec(client.Context(t.Context()), client, c)
	if err != nil {
		t.Fatal(err)
	}
	addMounts(spec, c.mounts())
	return spec
}

// Whatever a step asks for, these are kept from it.
func TestSpecKeepsFromTheStep(t *testing.T) {
	for what, c := range map[string]*Container{
		"nothing asked for": decided(nil),
		"much asked for": decided(func(p *step.Pinned) {
			p.Network, p.ReadOnly, p.CapAdd, p.User = step.NetworkHost, true, []string{step.CapAll}, "0:0"
		}),
		"a user namespace": decided(func(p *step.Pinned) { p.Userns = &step.IDMap{UID: 1000, GID: 1000, SubUID: 100000, SubGID: 100000} }),
	} {
		s := built(t, c)
		if !s.Process.NoNewPrivileges {
			t.Errorf("%s: new privileges", what)
		}
		for _, path := range []string{"/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"} {
			if !slices.Contains(s.Linux.MaskedPaths, path) {
				t.Errorf("%s: %s is not masked", what, path)
			}
		}
		for _, path := range []string{"/proc/sys", "/proc/sysrq-trigger"} {
			if !slices.Contains(s.Linux.ReadonlyPaths, path) {
				t.Errorf("%s: %s is not read-only", what, path)
			}
		}
		for _, kind := range []specs.LinuxNamespaceType{specs.PIDNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.MountNamespace} {
			if !slices.ContainsFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == kind && n.Path == "" }) {
				t.Errorf("%s: no %s namespace of its own", what, kind)
			}
		}
		if s.Linux.Seccomp == nil || s.Linux.Seccomp.DefaultAction != specs.ActErrno {
			t.Errorf("%s: %+v", what, s.Linux.Seccomp)
		}
	}
}

// The profile is for the machine's processor, and for its 32-bit variant only if that is asked
// for or the image is for it.
func TestSeccompArchitectures(t *testing.T) {
	want := map[string][]specs.Arch{"amd64": {specs.ArchX86_64, specs.ArchX86}, "arm64": {specs.ArchAARCH64, specs.ArchARM}}[runtime.GOARCH]
	if want == nil {
		t.Skip(runtime.GOARCH)
	}
	for _, c := range []struct {
		asked bool
		image string
		want  []specs.Arch
	}{
		{false, "", want[:1]}, {false, runtime.GOARCH, want[:1]}, {false, "s390x", want[:1]}, {true, "", want}, {true, runtime.GOARCH, want},
		{false, map[string]string{"amd64": "386", "arm64": "arm"}[runtime.GOARCH], want},
	} {
		cfg := decided(func(p *step.Pinned) { p.Bits32 = c.asked })
		cfg.Architecture = c.image
		if got := built(t, cfg).Linux.Seccomp.Architectures; !slices.Equal(got, c.want) {
			t.Errorf("asked %t, image %q: %q, want %q", c.asked, c.image, got, c.want)
		}
	}
}

// sets are the capabilities of a step, the same in each set that matters.
func sets(t *testing.T, add, drop []string) []string {
	t.Helper()
	c := built(t, decided(func(p *step.Pinned) { p.CapAdd, p.CapDrop = add, drop })).Process.Capabilities
	if !slices.Equal(c.Bounding, c.Effective) || !slices.Equal(c.Bounding, c.Permitted) || len(c.Inheritable)+len(c.Ambient) > 0 {
		t.Errorf("%+v", c)
	}
	given := slices.Sorted(slices.Values(c.Bounding))
	if distinct := slices.Compact(slices.Clone(given)); len(distinct) != len(given) {
		t.Errorf("one twice: %q", given)
	}
	return given
}

// few are docker's capabilities, less those that a step does not need.
var few = []string{"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_SYS_CHROOT"}

func TestCapabilities(t *testing.T) {
	own, err := capability.Current()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(own)
	if !slices.Contains(own, "CAP_NET_RAW") {
		t.Skip("this process has too few itself")
	}
	all := []string{step.CapAll}
	without := func(list []string, one string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(c string) bool { return c == one })
	}
	for _, c := range []struct{ add, drop, want []string }{
		{nil, nil, few},
		{[]string{"CAP_NET_RAW"}, nil, slices.Sorted(slices.Values(append(slices.Clone(few), "CAP_NET_RAW")))},
		{[]string{"CAP_CHOWN"}, nil, few},
		{nil, []string{"CAP_CHOWN"}, without(few, "CAP_CHOWN")},
		{nil, []string{"CAP_SYS_ADMIN"}, few},
		{nil, all, nil},
		{[]string{"CAP_CHOWN"}, all, []string{"CAP_CHOWN"}},
		{all, nil, own},
		{all, []string{"CAP_NET_RAW"}, without(own, "CAP_NET_RAW")},
		{[]string{"CAP_NET_RAW"}, []string{"CAP_NET_RAW"}, few},
		{all, all, own},
	} {
		if got := sets(t, c.add, c.drop); !slices.Equal(got, c.want) {
			t.Errorf("add %q, drop %q: %q, want %q", c.add, c.drop, got, c.want)
		}
	}
}

// A capability that nobody here can give is an error that names it.
func TestCapabilitiesThatCannotBeGiven(t *testing.T) {
	client := &containerd.Client{Namespace: "ns"}
	c := decided(func(p *step.Pinned) { p.CapAdd = []string{"CAP_NO_SUCH"} })
	if _, err := runtimeSpec(client.Context(t.Context()), client, c); err == nil || !strings.Contains(err.Error(), "CAP_NO_SUCH") {
		t.Errorf("%v", err)
	}
}

func TestCheckCapabilities(t *testing.T) {
	if err := CheckCapabilities("CAP_NET_RAW", step.CapAll, "CAP_BPF"); err != nil {
		t.Error(err)
	}
	if err := CheckCapabilities(); err != nil {
		t.Error(err)
	}
	for _, c := range []string{"CAP_NO_SUCH", "NET_RAW", "cap_net_raw", "", "all", "CAP_\n"} {
		var usage *name.UsageError
		if err := CheckCapabilities("CAP_NET_RAW", c); !errors.As(err, &usage) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", c, err)
		}
	}
}

func TestProcess(t *testing.T) {
	c := decided(func(p *step.Pinned) { p.Cwd, p.Hostname, p.User = "/w", "h", "7:8" })
	c.Args, c.Env = []string{"a", "", "-b"}, []string{"A=2", "HOME=/h", "EMPTY="}
	s := built(t, c)
	if !slices.Equal(s.Process.Args, c.Args) || s.Process.Cwd != "/w" || s.Hostname != "h" || s.Process.Terminal {
		t.Errorf("%+v", s.Process)
	}
	if s.Process.User.UID != 7 || s.Process.User.GID != 8 {
		t.Errorf("%+v", s.Process.User)
	}
	env := slices.Sorted(slices.Values(s.Process.Env))
	if want := []string{"A=2", "EMPTY=", "HOME=/h", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}; !slices.Equal(env, want) {
		t.Errorf("%q, want %q", env, want)
	}
	if got := s.Process.Rlimits; len(got) > 0 {
		t.Errorf("limits that nobody asked for: %+v", got)
	}
	c.Env = []string{"PATH=/bin"}
	if got := built(t, c).Process.Env; !slices.Equal(got, []string{"PATH=/bin"}) {
		t.Errorf("%q", got)
	}
}

// A terminal brings a TERM, unless the step has its own.
func TestTerminal(t *testing.T) {
	for own, want := range map[string]string{"TERM=dumb": "TERM=dumb", "TERMINAL=x": "TERM=xterm"} {
		c := decided(nil)
		c.Terminal, c.Env = true, []string{own}
		s := built(t, c)
		got := slices.DeleteFunc(slices.Clone(s.Process.Env), func(v string) bool { return !strings.HasPrefix(v, "TERM=") })
		if !s.Process.Terminal || !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q", own, got)
		}
	}
}

// The command comes last, after the init and the program that makes variables of secrets.
func TestArgs(t *testing.T) {
	env, file := Secret{Name: "E", Env: true}, Secret{Name: "F"}
	for _, c := range []struct {
		init    string
		secrets []Secret
		want    []string
	}{
		{"", nil, []string{"c", "--", "d"}},
		{"/usr/bin/init", nil, []string{initPath, "--", "c", "--", "d"}},
		{"", []Secret{file}, []string{"c", "--", "d"}},
		{"", []Secret{file, env}, []string{secret.Program, "E", "--", "c", "--", "d"}},
		{"/i", []Secret{env, env}, []string{initPath, "--", secret.Program, "E", "E", "--", "c", "--", "d"}},
	} {
		got := (&Container{Init: c.init, Secrets: c.secrets, Args: []string{"c", "--", "d"}}).args()
		if !slices.Equal(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// at is what is mounted at a path, the last if there are several.
func at(s *specs.Spec, path string) *specs.Mount {
	for _, m := range slices.Backward(s.Mounts) {
		if m.Destination == path {
			return &m
		}
	}
	return nil
}

// The values of secrets are in no part of what containerd is told.
func TestSecretsAreNotInTheSpec(t *testing.T) {
	c := decided(nil)
	c.Secrets = []Secret{{Name: "E", Value: []byte("hush"), Env: true}, {Name: "F", Value: []byte("hush")}}
	c.EnvProgram = "/program"
	s := built(t, c)
	if data, err := json.Marshal(s); err != nil || bytes.Contains(data, []byte("hush")) || bytes.Contains(data, []byte("aHVzaA")) {
		t.Errorf("a secret is in the specification: %v", err)
	}
	if m := at(s, step.SecretsPath); m == nil || m.Type != "tmpfs" {
		t.Errorf("%+v", m)
	}
	if m := at(s, secret.Program); m == nil || m.Source != "/program" || !slices.Contains(m.Options, "ro") {
		t.Errorf("%+v", m)
	}
	if s := built(t, decided(nil)); at(s, step.SecretsPath) != nil || at(s, secret.Program) != nil {
		t.Error("mounts for secrets without any")
	}
}

// Outer mounts come before those below them, whatever the order in which they were
// asked for, and after what the container has of its own.
func TestMountsOuterFirst(t *testing.T) {
	c := decided(func(p *step.Pinned) { p.Tmpfs = []step.PinnedTmpfs{{Path: "/a/b/c"}, {Path: "/a", Bytes: 4096}} })
	c.Mounts = []Mount{
		{Source: "/1", Destination: "/a/b", ReadOnly: true},
		{Source: "/2", Destination: "/a/b/c/d", Trusted: true},
		{Source: "/3", Destination: "/a-b"},
		{Source: "/4", Destination: "/dev/shm/x"},
	}
	before := slices.Clone(c.Mounts)
	s := built(t, c)
	if !reflect.DeepEqual(c.Mounts, before) {
		t.Errorf("the container's own list was changed: %+v", c.Mounts)
	}
	for i, outer := range s.Mounts {
		for _, earlier := range s.Mounts[:i] {
			if strings.HasPrefix(earlier.Destination, outer.Destination+"/") {
				t.Errorf("%s covers %s", outer.Destination, earlier.Destination)
			}
		}
	}
	for path, want := range map[string]specs.Mount{
		"/a":       {Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "noexec", "mode=1777", "size=4096"}},
		"/a/b":     {Type: "bind", Source: "/1", Options: []string{"rbind", "rprivate", "ro", "nosuid", "nodev"}},
		"/a/b/c":   {Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "noexec", "mode=1777"}},
		"/a/b/c/d": {Type: "bind", Source: "/2", Options: []string{"rbind", "rprivate"}},
		"/a-b":     {Type: "bind", Source: "/3", Options: []string{"rbind", "rprivate", "nosuid", "nodev"}},
	} {
		want.Destination = path
		if got := at(s, path); got == nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: %+v, want %+v", path, got, want)
		}
	}
	if at(s, "/run") != nil {
		t.Error("/run hides the image's")
	}
}

func TestReadOnly(t *testing.T) {
	if built(t, decided(nil)).Root.Readonly || !built(t, decided(func(p *step.Pinned) { p.ReadOnly = true })).Root.Readonly {
		t.Error("the root file system is not as it was asked for")
	}
}

// network is the network namespace of a container: nil for the host's.
func network(s *specs.Spec) *specs.LinuxNamespace {
	for _, n := range s.Linux.Namespaces {
		if n.Type == specs.NetworkNamespace {
			return &n
		}
	}
	return nil
}

// A container has a network of its own unless it is given the host's or one to join. In
// its own, every user may listen on every port; the host's is left as it is.
func TestNetworks(t *testing.T) {
	const port = "net.ipv4.ip_unprivileged_port_start"
	c := decided(nil)
	if s := built(t, c); network(s) == nil || network(s).Path != "" || s.Linux.Sysctl[port] != "0" {
		t.Errorf("none: %+v, %v", network(s), s.Linux.Sysctl)
	}
	c.Network = step.NetworkHost
	if s := built(t, c); network(s) != nil || len(s.Linux.Sysctl) > 0 {
		t.Errorf("host: %+v, %v", network(s), s.Linux.Sysctl)
	}
	c.Network, c.NetworkNamespace = step.NetworkBridge, "/ns"
	if s := built(t, c); network(s) == nil || network(s).Path != "/ns" || s.Linux.Sysctl[port] != "0" {
		t.Errorf("bridge: %+v, %v", network(s), s.Linux.Sysctl)
	}
}

func TestLimits(t *testing.T) {
	limits := &step.PinnedLimits{MemoryBytes: 1 << 30, CPUs: 1.5, Pids: 7, ShmBytes: 2 << 20, Ulimits: []string{"nofile=5:6", "core=0"}, LogMaxBytes: 9}
	s := built(t, decided(func(p *step.Pinned) { p.Limits = limits }))
	r := s.Linux.Resources
	if *r.Memory.Limit != 1<<30 || *r.CPU.Quota != 150_000 || *r.CPU.Period != 100_000 || r.Pids.Limit != 7 {
		t.Errorf("%+v, %+v, %+v", r.Memory, r.CPU, r.Pids)
	}
	if m := at(s, "/dev/shm"); m == nil || !slices.Contains(m.Options, "size=2048k") {
		t.Errorf("%+v", m)
	}
	if want := []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 5, Hard: 6}, {Type: "RLIMIT_CORE"}}; !slices.Equal(s.Process.Rlimits, want) {
		t.Errorf("%+v", s.Process.Rlimits)
	}
	none := built(t, decided(nil)).Linux.Resources
	if none.Memory != nil || none.CPU != nil || none.Pids != nil {
		t.Errorf("limits that nobody asked for: %+v", none)
	}
}

// Without limits there is nothing that a machine could not apply.
func TestCheckLimits(t *testing.T) {
	for _, l := range []*step.PinnedLimits{nil, {}, {ShmBytes: 1, LogMaxBytes: 1, Ulimits: []string{"core=0"}}} {
		if err := CheckLimits(l); err != nil {
			t.Errorf("%+v: %v", l, err)
		}
	}
}

// Root of a user namespace is who it is mapped to, and what is given to the container's
// users is given to those outside.
func TestUserns(t *testing.T) {
	m := &step.IDMap{UID: 1000, GID: 100, SubUID: 100000, SubGID: 200000}
	c := decided(func(p *step.Pinned) { p.Userns = m })
	s := built(t, c)
	uids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 1}, {ContainerID: 1, HostID: 100000, Size: step.IDCount}}
	gids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100, Size: 1}, {ContainerID: 1, HostID: 200000, Size: step.IDCount}}
	if !slices.Equal(s.Linux.UIDMappings, uids) || !slices.Equal(s.Linux.GIDMappings, gids) {
		t.Errorf("%+v, %+v", s.Linux.UIDMappings, s.Linux.GIDMappings)
	}
	if !slices.ContainsFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.UserNamespace }) {
		t.Errorf("%+v", s.Linux.Namespaces)
	}
	// Two ways to say the same must agree.
	for _, id := range []uint32{0, 1, 7, step.IDCount, step.IDCount + 1, 1<<32 - 1} {
		want := secret.Owner{UID: int(m.HostUID(id)), GID: int(m.HostGID(id))}
		if got := hostOwner(s, id, id); got != want {
			t.Errorf("%d: %+v, want %+v", id, got, want)
		}
	}
	if got := hostOwner(built(t, decided(nil)), 5, 6); got != (secret.Owner{UID: 5, GID: 6}) {
		t.Errorf("without a user namespace: %+v", got)
	}
	// Not all groups exist there.
	if _, ok := s.Linux.Sysctl["net.ipv4.ping_group_range"]; ok {
		t.Error("all groups may ping, and not all exist")
	}
	if options, err := c.options(); err != nil || options == nil {
		t.Errorf("%v, %v", options, err)
	}
	if options, err := decided(nil).options(); err != nil || options != nil {
		t.Errorf("without a user namespace: %v, %v", options, err)
	}
}

// The kernel lets a user namespace mount no sysfs for a network that is not its own: it
// gets the host's, read-only, even when the host's network is shared.
func TestSysfsOfAUserns(t *testing.T) {
	if userns.Inside() {
		t.Skip("this process is in a user namespace itself")
	}
	m := &step.IDMap{UID: 1000, GID: 1000, SubUID: 100000, SubGID: 100000}
	for _, c := range []struct {
		users   *step.IDMap
		network step.Network
		ns      string
		want    string
	}{
		{nil, step.NetworkNone, "", "sysfs"}, {nil, step.NetworkHost, "", "sysfs"},
		{m, step.NetworkNone, "", "sysfs"}, {m, step.NetworkHost, "", "bind"}, {m, step.NetworkBridge, "/ns", "bind"},
	} {
		d := decided(func(p *step.Pinned) { p.Userns = c.users })
		d.Network, d.NetworkNamespace = c.network, c.ns
		if m := at(built(t, d), "/sys"); m == nil || m.Type != c.want || !slices.Contains(m.Options, "ro") {
			t.Errorf("%+v: %+v", c, m)
		}
	}
}

// The step is no safer from the kernel than its caller when memory runs out.
func TestOOMScore(t *testing.T) {
	if userns.Inside() {
		t.Skip("this process is in a user namespace itself")
	}
	if score := built(t, decided(nil)).Process.OOMScoreAdj; score == nil || *score < 0 {
		t.Errorf("%v", score)
	}
}

func TestCheckDevices(t *testing.T) {
	if err := CheckDevices(nil); err != nil {
		t.Error(err)
	}
	for _, device := range []string{"vendor.example/class=none", "", "x", "../x", "a/b=c\n"} {
		if err := CheckDevices([]string{device}); err == nil || !strings.Contains(err.Error(), "device") {
			t.Errorf("%q: %v", device, err)
		}
	}
}

// Init is a program or none, and never a name to be looked up elsewhere.
func TestInit(t *testing.T) {
	if path := Init(); path != "" && !filepath.IsAbs(path) {
		t.Errorf("%q", path)
	}
	t.Setenv("PATH", t.TempDir())
	if path := Init(); path != "" {
		t.Errorf("%q is on no PATH", path)
	}
}
