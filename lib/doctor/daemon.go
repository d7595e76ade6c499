package doctor

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"

	introspectionapi "github.com/containerd/containerd/api/services/introspection/v1"
	versionapi "github.com/containerd/containerd/api/services/version/v1"
	"google.golang.org/protobuf/types/known/emptypb"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/endpoint"
)

// daemon is a containerd, and what it says of its snapshotter, once it has answered.
type daemon struct{ answer atomic.Pointer[answer] }

type answer struct {
	snapshotter string
	plugin      *introspectionapi.Plugin // nil if it has no such snapshotter
}

// ask asks containerd for its version and its plugins.
func (d *daemon) ask(ctx context.Context, to endpoint.Containerd) Finding {
	to.Patience = patience
	client, err := containerd.Connect(ctx, to)
	if err != nil {
		// The error ends with what to do.
		why, help, _ := cutLast(err.Error(), "; ")
		return fails(help, "%s", why)
	}
	defer client.Close()
	v, err := versionapi.NewVersionClient(client.Conn).Version(ctx, new(emptypb.Empty))
	if err != nil {
		return fails("look at its log; systemctl restart containerd", "containerd at %q does not answer: %v", to.Socket(), err)
	}
	plugins, err := introspectionapi.NewIntrospectionClient(client.Conn).Plugins(ctx, &introspectionapi.PluginsRequest{Filters: []string{"type==io.containerd.snapshotter.v1"}})
	if err != nil {
		return fails("look at its log; systemctl restart containerd", "containerd at %q cannot list its plugins: %v", to.Socket(), err)
	}
	said := &answer{snapshotter: to.Snapshotter}
	for _, p := range plugins.Plugins {
		if p.ID == to.Snapshotter {
			said.plugin = p
		}
	}
	d.answer.Store(said)
	version := strings.TrimPrefix(v.Version, "v")
	if major, minor := number(version, 0), number(version, 1); major < 1 || major == 1 && minor < 6 {
		return warning("use containerd 1.6 or later", "containerd %s at %s; pipex was not tested with it", version, to.Socket())
	}
	return ok("containerd %s at %s", version, to.Socket())
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// number returns the i-th number of a version; 0 if it has none there.
func number(version string, i int) int {
	parts := strings.FieldsFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if i >= len(parts) {
		return 0
	}
	n, _ := strconv.Atoi(parts[i])
	return n
}

// checks are those of a containerd that has answered: its snapshotter, and the room where it
// keeps images and containers.
func (d *daemon) checks() []check {
	said := d.answer.Load()
	if said == nil {
		return nil
	}
	checks := []check{{"snapshotter", said.works}}
	if root := said.plugin.GetExports()["root"]; root != "" {
		checks = append(checks, room("images", root))
	}
	return checks
}

func (a *answer) works(context.Context) Finding {
	switch {
	case a.plugin == nil:
		return fails("unset CONTAINERD_SNAPSHOTTER", "containerd has no snapshotter %q", a.snapshotter)
	case a.plugin.InitErr != nil:
		return fails("move containerd's root to ext4 or XFS, or set CONTAINERD_SNAPSHOTTER=native", "snapshotter %q does not work: %s", a.snapshotter, a.plugin.InitErr.Message)
	}
	return ok("%s", a.snapshotter)
}
