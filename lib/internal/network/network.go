// Package network gives containers a network namespace of their own and connects it to a
// network. Plugins of the Container Network Interface (CNI) set the network up and remove
// it. The package records each network, so that another process can remove it if this one
// dies.
package network

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/containerd/go-cni"
	"github.com/containernetworking/cni/libcni"
	"golang.org/x/sys/unix"

	"pipex/lib/internal/endpoint"
	"pipex/lib/internal/trace"
	"pipex/lib/internal/userns"
)

// bridge is the configuration of the network "bridge": a bridge with a gateway and private
// addresses. Outside, its containers appear under the host's address (NAT).
//
//go:embed bridge.conflist
var bridge []byte

// state holds the record of each network: a directory per container, with the namespace, the
// configuration, and the container's hosts and resolv.conf files. It is in /run because
// networks do not survive a reboot either.
const state = "/run/pipex"

// Paths are the directories of plugins and of network configurations.
type Paths endpoint.CNI

// The usual directories, of CNI itself, Debian and Fedora.
var (
	pluginDirs = []string{"/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"}
	confDir    = "/etc/cni/net.d"
)

// config returns the configuration of a network: ours for "bridge"; for "cni:NAME" the one of
// this name in the directory of network configurations.
func (p Paths) config(name string) (*libcni.NetworkConfigList, error) {
	cniName, ok := strings.CutPrefix(name, "cni:")
	if !ok {
		return libcni.ConfListFromBytes(bridge)
	}
	dir := p.Networks
	if dir == "" {
		dir = confDir
	}
	list, err := libcni.LoadConfList(dir, cniName)
	if err != nil {
		return nil, fmt.Errorf("no network %q in %s: %w", cniName, dir, err)
	}
	return list, nil
}

func (p Paths) plugins() []string {
	if len(p.Plugins) > 0 {
		return p.Plugins
	}
	return pluginDirs
}

// Check returns an error if the network cannot be set up on this machine.
func (p Paths) Check(name string) error {
	if userns.Inside() {
		return fmt.Errorf("cannot use network %q: it needs the machine's root, and this containerd is rootless; use host or none", name)
	}
	list, err := p.config(name)
	if err != nil {
		return err
	}
	needed := []string{"loopback"}
	for _, plugin := range list.Plugins {
		needed = append(needed, plugin.Network.Type)
		if ipam := plugin.Network.IPAM.Type; ipam != "" {
			needed = append(needed, ipam)
		}
	}
	for _, plugin := range needed {
		if !slices.ContainsFunc(p.plugins(), func(dir string) bool {
			_, err := os.Stat(filepath.Join(dir, plugin))
			return err == nil
		}) {
			return fmt.Errorf("cannot use network %q: no CNI plugin %q in %s; install them (Debian: containernetworking-plugins, iptables)", name, plugin, strings.Join(p.plugins(), ":"))
		}
	}
	return nil
}

// Network is a network that is set up.
type Network struct {
	// Namespace is the path of the network namespace.
	Namespace string
	// Files are the files for the container's /etc: their names there, and their paths on
	// the host.
	Files map[string]string
}

func dir(id string) string { return filepath.Join(state, id) }

// Setup creates a network namespace for the container id, whose host name is hostname, and
// connects it to the network name. It first removes what an earlier Setup for the same id
// has left. After an error nothing is left.
func (p Paths) Setup(ctx context.Context, id, name, hostname string) (_ *Network, err error) {
	ctx, part := trace.Start(ctx, "network setup", name)
	defer part.End()
	if err := p.Check(name); err != nil {
		return nil, err
	}
	if err := Remove(ctx, id); err != nil {
		return nil, err
	}
	list, err := p.config(name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("cannot set up network %q: %w", name, err), Remove(context.WithoutCancel(ctx), id))
		}
	}()
	if err := os.MkdirAll(dir(id), 0o755); err != nil {
		return nil, err
	}
	// Record the paths and the configuration now, so that Remove can undo this even if
	// they change. The configuration is written last.
	if err := os.WriteFile(filepath.Join(dir(id), "plugins"), []byte(strings.Join(p.plugins(), ":")), 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir(id), "conflist"), list.Bytes, 0o600); err != nil {
		return nil, err
	}
	n := &Network{Namespace: filepath.Join(dir(id), "netns")}
	if err := newNamespace(n.Namespace); err != nil {
		return nil, fmt.Errorf("no network namespace: %w", err)
	}
	c, err := load(p.plugins(), list.Bytes)
	if err != nil {
		return nil, err
	}
	result, err := c.SetupSerially(ctx, id, n.Namespace)
	if err != nil {
		return nil, err
	}
	n.Files, err = files(id, hostname, addresses(result))
	return n, err
}

// load loads the network before loopback, so that its interface is eth0.
func load(plugins []string, conflist []byte) (cni.CNI, error) {
	c, err := cni.New(cni.WithPluginDir(plugins), cni.WithMinNetworkCount(2), cni.WithInterfacePrefix("eth"))
	if err == nil {
		err = c.Load(cni.WithConfListBytes(conflist), cni.WithLoNetwork)
	}
	return c, err
}

func addresses(r *cni.Result) (ips []net.IP) {
	for name, i := range r.Interfaces {
		for _, config := range i.IPConfigs {
			if name != "lo" && i.Sandbox != "" {
				ips = append(ips, config.IP)
			}
		}
	}
	return ips
}

// files writes a hosts file with the container's addresses, and chooses a resolv.conf whose
// name servers the container can reach.
func files(id, hostname string, ips []net.IP) (map[string]string, error) {
	text := "127.0.0.1\tlocalhost\n::1\tlocalhost\n"
	for _, ip := range ips {
		text += ip.String() + "\t" + hostname + "\n"
	}
	hosts := filepath.Join(dir(id), "hosts")
	if err := os.WriteFile(hosts, []byte(text), 0o644); err != nil {
		return nil, err
	}
	files := map[string]string{"hosts": hosts}
	for _, path := range []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"} {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if _, chosen := files["resolv.conf"]; !chosen || reachable(string(data)) {
			files["resolv.conf"] = path
		}
		if reachable(string(data)) {
			break
		}
	}
	return files, nil
}

// reachable reports whether a resolv.conf(5) names a server that is not on the host's
// loopback.
func reachable(conf string) bool {
	for line := range strings.Lines(conf) {
		fields := strings.Fields(line)
		if len(fields) > 1 && fields[0] == "nameserver" {
			if ip := net.ParseIP(fields[1]); ip != nil && !ip.IsLoopback() {
				return true
			}
		}
	}
	return false
}

// Remove undoes what Setup did for the container id: the plugins remove addresses and rules,
// then the namespace is removed. The container's processes must have ended. If there is no
// network, Remove does nothing.
func Remove(ctx context.Context, id string) error {
	conflist, err := os.ReadFile(filepath.Join(dir(id), "conflist"))
	if errors.Is(err, fs.ErrNotExist) {
		return os.RemoveAll(dir(id))
	}
	ctx, part := trace.Start(ctx, "network remove")
	defer part.End()
	namespace := filepath.Join(dir(id), "netns")
	if err == nil {
		err = remove(ctx, id, namespace, conflist)
	}
	if err != nil {
		return fmt.Errorf("cannot remove the network of container %q: %w", id, err)
	}
	for unix.Unmount(namespace, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) == nil {
	}
	return os.RemoveAll(dir(id))
}

func remove(ctx context.Context, id, namespace string, conflist []byte) error {
	var at unix.Statfs_t
	if err := unix.Statfs(namespace, &at); err != nil || at.Type != unix.NSFS_MAGIC {
		return nil // the plugins have not been called
	}
	plugins, err := os.ReadFile(filepath.Join(dir(id), "plugins"))
	if err != nil {
		return err
	}
	c, err := load(filepath.SplitList(string(plugins)), conflist)
	if err != nil {
		return err
	}
	return c.Remove(ctx, id, namespace)
}

// List returns the ids of the containers that have a network, also if a killed process left
// it.
func List() []string {
	entries, _ := os.ReadDir(state)
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.Name())
	}
	return ids
}

// newNamespace creates a network namespace. A bind mount at path keeps it alive
// (network_namespaces(7)).
func newNamespace(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return err
	}
	f.Close()
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked, so the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = unix.Mount(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()), path, "", unix.MS_BIND, "")
		}
		result <- err
	}()
	return <-result
}
