package network

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/go-cni"
	"github.com/google/uuid"

	"pipex/lib/internal/userns"
)

// A server on the host's own loopback cannot be reached from a container.
func TestReachable(t *testing.T) {
	for conf, want := range map[string]bool{
		"":                                       false,
		"nameserver 192.0.2.1\n":                 true,
		"nameserver 192.0.2.1":                   true,
		"nameserver\t2001:db8::1":                true,
		"nameserver 127.0.0.53\noptions edns0\n": false,
		"nameserver 127.0.0.53\nnameserver 192.0.2.1\n":   true,
		"nameserver ::1\nnameserver 127.1.2.3\n":          false,
		"#nameserver 192.0.2.1\n; nameserver 192.0.2.1\n": false,
		"nameserver\n":                                         false,
		"nameserver a.example\n":                               false,
		"search 192.0.2.1\n":                                   false,
		"  nameserver 192.0.2.1 # comment\n":                   true,
		"nameserver 192.0.2.1\r\n":                             true,
		"nameservers 192.0.2.1\n":                              false,
		strings.Repeat("#\n", 10_000) + "nameserver 192.0.2.1": true,
	} {
		if got := reachable(conf); got != want {
			t.Errorf("%.60q: %v", conf, got)
		}
	}
}

// network puts the description of a network into a new directory.
func network(t *testing.T, name, text string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

const own = `{"cniVersion": "0.4.0", "name": "own", "plugins": [{"type": "first", "ipam": {"type": "second"}}, {"type": "third"}]}`

// The network called bridge is ours, on any machine.
func TestConfigOfBridge(t *testing.T) {
	list, err := Paths{Networks: "/nowhere"}.config("bridge")
	if err != nil || list.Name != "pipex" || len(list.Plugins) != 1 || list.Plugins[0].Network.Type != "bridge" {
		t.Errorf("%+v, %v", list, err)
	}
}

// Other networks are found by the name in their description, not by the file's.
func TestConfigOfNetworksInADirectory(t *testing.T) {
	dir := network(t, "10-any.conflist", own)
	list, err := Paths{Networks: dir}.config("cni:own")
	if err != nil || list.Name != "own" || len(list.Plugins) != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	for where, name := range map[string]string{
		dir:                           "cni:10-any",
		filepath.Join(dir, "none"):    "cni:own",
		network(t, "x.conflist", "{"): "cni:x",
		network(t, "x.conflist", `{"name": "x"}`): "cni:x",
		network(t, "x.txt", own):                  "cni:own",
	} {
		if list, err := (Paths{Networks: where}).config(name); err == nil || !strings.Contains(err.Error(), name[len("cni:"):]) || !strings.Contains(err.Error(), where) {
			t.Errorf("%s: %+v, %v", name, list, err)
		}
	}
}

// Each plugin that a network needs must be there, in any of the directories.
func TestCheckLooksForPlugins(t *testing.T) {
	if userns.Inside() {
		t.Skip("no network can be had in a user namespace")
	}
	networks, first, second := network(t, "own.conflist", own), t.TempDir(), t.TempDir()
	p := Paths{Plugins: []string{first, second, "/nowhere"}, Networks: networks}
	needed := []string{"loopback", "first", "second", "third"}
	for i, plugin := range needed {
		err := p.Check("cni:own")
		if err == nil || !strings.Contains(err.Error(), `no CNI plugin "`+plugin+`" in `+strings.Join(p.Plugins, ":")) {
			t.Errorf("without %s: %v", plugin, err)
		}
		if err := os.WriteFile(filepath.Join(p.Plugins[i%2], plugin), nil, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Check("cni:own"); err != nil {
		t.Error(err)
	}
	if err := p.Check("cni:none"); err == nil {
		t.Error("a network that there is not: no error")
	}
}

// A network that cannot be had leaves nothing behind.
func TestSetupThatFailsLeavesNothing(t *testing.T) {
	id := "pipex-test-" + uuid.NewString()
	p := Paths{Plugins: []string{t.TempDir()}}
	if n, err := p.Setup(context.Background(), id, "bridge", "host"); err == nil {
		t.Errorf("%+v", n)
	}
	if slices.Contains(List(), id) {
		t.Error("a network is left")
	}
	if os.Geteuid() != 0 || userns.Inside() {
		return
	}
	// Plugins that set up nothing fail when all else is done.
	for _, plugin := range []string{"loopback", "bridge", "host-local"} {
		if err := os.WriteFile(filepath.Join(p.Plugins[0], plugin), []byte("#!/bin/sh\n[ $CNI_COMMAND = DEL ]\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := p.Setup(context.Background(), id, "bridge", "host"); err == nil || !strings.Contains(err.Error(), `cannot set up network "bridge"`) {
		t.Errorf("%+v, %v", n, err)
	}
	if slices.Contains(List(), id) {
		t.Errorf("a network is left: %v", Remove(context.Background(), id))
	}
}

// What is gone, or was never there, is removed with success, with and without the time
// to do it.
func TestRemoveOfWhatIsGone(t *testing.T) {
	id := "pipex-test-" + uuid.NewString()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for _, ctx := range []context.Context{context.Background(), ended} {
		if err := Remove(ctx, id); err != nil {
			t.Error(err)
		}
	}
}

// A process that died at any point of Setup left what Remove takes away: nothing is up
// before there is a namespace, and no plugin is asked for.
func TestRemoveOfWhatWasBegun(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can write to " + state)
	}
	for _, files := range [][]string{{}, {"plugins"}, {"plugins", "conflist"}, {"plugins", "conflist", "netns"}} {
		id := "pipex-test-" + uuid.NewString()
		if err := os.MkdirAll(dir(id), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if err := os.WriteFile(filepath.Join(dir(id), name), bridge, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Contains(List(), id) {
			t.Errorf("after %q it is not listed", files)
		}
		if err := Remove(context.Background(), id); err != nil {
			t.Errorf("after %q: %v", files, err)
		}
		if slices.Contains(List(), id) {
			t.Errorf("after %q something is left", files)
			os.RemoveAll(dir(id))
		}
	}
}

// The hosts file knows the container by the addresses that are its own: not those of
// loopback, nor those of the bridge on the host's side.
func TestAddresses(t *testing.T) {
	config := func(ip string, sandbox string) *cni.Config {
		return &cni.Config{Sandbox: sandbox, IPConfigs: []*cni.IPConfig{{IP: net.ParseIP(ip)}}}
	}
	got := addresses(&cni.Result{Interfaces: map[string]*cni.Config{
		"lo": config("127.0.0.1", "/ns"), "eth0": config("192.0.2.2", "/ns"), "pipex0": config("192.0.2.1", ""),
	}})
	if len(got) != 1 || got[0].String() != "192.0.2.2" {
		t.Errorf("%v", got)
	}
	if got := addresses(&cni.Result{}); got != nil {
		t.Errorf("%v", got)
	}
}
