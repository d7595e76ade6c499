package doctor

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pipex/lib/internal/endpoint"
	"pipex/lib/run"
)

// A directory in which a workspace can be has no failing check, also if it is not there yet,
// and nothing is left in it.
func TestFilesystem(t *testing.T) {
	dir := t.TempDir()
	for _, at := range []string{dir, filepath.Join(dir, "not", "there")} {
		findings := Filesystem(t.Context(), at)
		var names []string
		for _, f := range findings {
			names = append(names, f.Check)
			if f.Status == Fails || f.Found == "" {
				t.Errorf("%+v", f)
			}
		}
		if want := []string{"clock", "locks", "renames", "copies", "room for workdir"}; !slices.Equal(names, want) {
			t.Errorf("%q, want %q", names, want)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestFilesystemThatCannotBeWrittenTo(t *testing.T) {
	for _, f := range Filesystem(t.Context(), "/proc") {
		if strings.HasPrefix(f.Check, "room") {
			continue
		}
		if f.Status != Fails || !strings.Contains(f.Help, "--workdir") {
			t.Errorf("%+v", f)
		}
	}
}

// A check that hangs is left behind, and the others are told.
func TestChecksThatHang(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // what is bounded by the context does not wait
	end := make(chan struct{})
	defer close(end)
	findings := all(ctx, []check{
		{"hangs", func(context.Context) Finding { <-end; return ok("too late") }},
		{"works", func(context.Context) Finding { return ok("well") }},
	}, nil)
	if len(findings) != 2 || findings[0].Status != Fails || !strings.Contains(findings[0].Found, "no answer") || findings[0].Help == "" || findings[1] != (Finding{"works", OK, "well", ""}) {
		t.Errorf("%+v", findings)
	}
}

// A containerd that never answers, and a socket that nobody listens at, fail.
func TestContainerdThatDoesNotAnswer(t *testing.T) {
	dir := t.TempDir()
	silent := filepath.Join(dir, "silent")
	l, err := net.Listen("unix", silent)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for address, want := range map[string]string{silent: "not answer", filepath.Join(dir, "gone"): "no such file"} {
		findings := Machine(t.Context(), run.Place{Containerd: endpoint.Containerd{Address: address, Start: "start it"}})
		i := slices.IndexFunc(findings, func(f Finding) bool { return f.Check == "containerd" })
		if i < 0 || findings[i].Status != Fails || !strings.Contains(findings[i].Found, want) || findings[i].Help == "" {
			t.Errorf("%s: %+v", address, findings)
		}
		if slices.ContainsFunc(findings, func(f Finding) bool { return f.Check == "snapshotter" }) {
			t.Errorf("%s: a snapshotter was found", address)
		}
	}
}

func TestNumber(t *testing.T) {
	for version, want := range map[string][2]int{"1.6.20~ds1": {1, 6}, "2.4.2": {2, 4}, "": {0, 0}, "2": {2, 0}} {
		if got := [2]int{number(version, 0), number(version, 1)}; got != want {
			t.Errorf("%q: %v, want %v", version, got, want)
		}
	}
}
