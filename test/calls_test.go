package test

import (
	"slices"
	"strings"
	"testing"
)

// A step asks containerd no more than it needs: each call delays it.
func TestCallsOfAStep(t *testing.T) {
	t.Parallel()
	b := newWorkbench(t, t.TempDir())
	b.must("pipex-prepare", "--image", "busybox", "--", "true") // adopts the image
	b.idle()
	p, socket := between(t)
	called := func(until string, args ...string) (methods []string) {
		t.Helper()
		p.Pass()
		b.must(args...)
		for _, method := range p.Calls() {
			methods = append(methods, strings.TrimPrefix(method, "/containerd.services."))
			if methods[len(methods)-1] == until {
				break // the rest removes the container, and nobody waits for that
			}
		}
		slices.Sort(methods)
		return methods
	}
	for _, c := range []struct {
		args  []string
		until string
		want  []string
	}{
		{[]string{"pipex-prepare", "--address", socket, "--run-id", "a", "--image", "busybox", "--", "true"}, "", []string{
			"content.v1.Content/Read", "content.v1.Content/Read", "images.v1.Images/List",
			"images.v1.Images/List", // in the namespace that it was adopted from
			"leases.v1.Leases/AddResource", "leases.v1.Leases/Create", "snapshots.v1.Snapshots/Stat",
		}},
		{[]string{"pipex-exec", "--address", socket, "a"}, "tasks.v1.Tasks/Wait", []string{
			"containers.v1.Containers/Create", "snapshots.v1.Snapshots/Prepare",
			"tasks.v1.Tasks/Create", "tasks.v1.Tasks/Start", "tasks.v1.Tasks/Wait",
		}},
	} {
		slices.Sort(c.want)
		if got := called(c.until, c.args...); !slices.Equal(got, c.want) {
			t.Errorf("%s calls %q, want %q", c.args[0], got, c.want)
		}
	}
}
