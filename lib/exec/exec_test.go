package exec

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/endpoint"
	"pipex/lib/name"
	"pipex/lib/run"
	"pipex/lib/step"
	"pipex/lib/workspace"
)

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// prepared is an execution of the open run r of a new workspace. It has a container half
// on paper only.
func prepared(t *testing.T, p step.Pinned) *execution {
	t.Helper()
	workdir := t.TempDir()
	ws, err := workspace.Create(workdir, "ws")
	ok(t, err)
	if p.Output == "" {
		p.Output, p.Hostname, p.Network = step.DefaultOutput, step.DefaultHostname, step.NetworkNone
	}
	m := &workspace.Meta{RunID: "r", Pinned: p, Status: workspace.Prepared, PreparedAt: workspace.Now(), Container: &workspace.Container{ID: "id", Namespace: "ns", Snapshotter: "overlayfs"}}
	shared, err := ws.Shared(t.Context())
	ok(t, err)
	r, err := ws.Stage(m, shared, nil)
	ok(t, err)
	place := run.Place{Workdir: workdir, Workspace: "ws", Containerd: endpoint.Containerd{Address: filepath.Join(workdir, "none.sock")}}
	return &execution{Place: place, ws: ws, run: r, meta: m}
}

// untouched makes sure that a run is as it was: its record, and that nobody holds it.
func untouched(t *testing.T, x *execution) {
	t.Helper()
	m, err := x.run.Meta()
	ok(t, err)
	if m.Status != workspace.Prepared || len(m.Execs) > 0 {
		t.Errorf("the run was touched: %+v", m)
	}
	lock, err := x.ws.HoldRun("r", "test")
	ok(t, err)
	lock.Release()
	if left, err := os.ReadDir(filepath.Join(x.ws.Root, ".pipex", "tmp")); err == nil && len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// What cannot begin changes nothing, and says what it is.
func TestExecThatCannotBegin(t *testing.T) {
	x := prepared(t, step.Pinned{})
	var busy *workspace.BusyError
	var wrong *name.Error
	elsewhere := x.Place
	elsewhere.Workspace = "none"
	for what, c := range map[string]struct {
		place run.Place
		id    string
		is    func(error) bool
	}{
		"no containerd": {x.Place, "r", func(err error) bool { return errors.Is(err, containerd.ErrUnreachable) }},
		"no run":        {x.Place, "s", func(err error) bool { return errors.Is(err, workspace.ErrNoRun) }},
		"no workspace":  {elsewhere, "r", func(err error) bool { return errors.Is(err, workspace.ErrNoWorkspace) }},
		"no name":       {x.Place, "../staging/r", func(err error) bool { return errors.As(err, &wrong) }},
		"nothing":       {x.Place, "", func(err error) bool { return errors.As(err, &wrong) }},
	} {
		if code, err := Exec(t.Context(), c.place, c.id, Options{}); !c.is(err) || code != 0 || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %d, %v", what, code, err)
		}
	}
	untouched(t, x)

	held, err := x.ws.HoldRun("r", "test")
	ok(t, err)
	if _, err := Exec(t.Context(), x.Place, "r", Options{}); !errors.As(err, &busy) {
		t.Errorf("another process has it: %v", err)
	}
	held.Release()
	untouched(t, x)
}

// A run without an image has nothing to be executed: the error says where to put what is
// to be committed.
func TestExecWithoutAContainer(t *testing.T) {
	x := prepared(t, step.Pinned{})
	x.meta.Container = nil
	ok(t, x.ws.WriteMeta(x.run, x.meta))
	if _, err := Exec(t.Context(), x.Place, "r", Options{}); err == nil || !strings.Contains(err.Error(), x.run.Artifacts()) {
		t.Errorf("%v", err)
	}
	untouched(t, x)
	x.meta.Status = workspace.Success
	_, err := x.ws.Commit(t.Context(), x.run, x.meta)
	ok(t, err)
	if _, err := Exec(t.Context(), x.Place, "r", Options{}); !errors.Is(err, workspace.ErrCommitted) {
		t.Errorf("a committed run: %v", err)
	}
}

// A setup's caches come in place of the step's of the same name or path, and its command
// and network in place of the step's.
func TestSetup(t *testing.T) {
	x := prepared(t, step.Pinned{
		Options:     step.Options{Output: "/output", Cmd: []string{"c"}, Network: step.NetworkNone},
		CacheMounts: []step.Cache{{Name: "a", Path: "/a"}, {Name: "b", Path: "/b"}, {Name: "c", Path: "/c"}},
		Setup:       &step.PinnedSetup{Cmd: []string{"s"}, Network: step.NetworkHost, CacheMounts: []step.Cache{{Name: "a", Path: "/x"}, {Name: "d", Path: "/b"}}},
	})
	x.meta.Container.Entrypoint = []string{"e"}
	before := slices.Clone(x.meta.CacheMounts)
	s := x.beginSetup()
	if got, want := s.cacheMounts(), []step.Cache{{Name: "c", Path: "/c"}, {Name: "a", Path: "/x"}, {Name: "d", Path: "/b"}}; !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if !slices.Equal(x.cacheMounts(), before) {
		t.Errorf("the step's own are now %+v", x.cacheMounts())
	}
	c, err := s.container()
	if err != nil || !slices.Equal(c.Args, []string{"s"}) || c.Network != step.NetworkHost {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = x.container()
	if err != nil || !slices.Equal(c.Args, []string{"e", "c"}) || c.Network != step.NetworkNone {
		t.Errorf("%+v, %v", c, err)
	}
	x.Cmd, x.Network = []string{"own"}, step.NetworkHost
	c, err = x.container()
	if err != nil || !slices.Equal(c.Args, []string{"own"}) || c.Network != step.NetworkHost {
		t.Errorf("%+v, %v", c, err)
	}
	if s := x.beginSetup(); s.Network != "" || s.Stdin != nil || s.Terminal {
		t.Errorf("a setup that somebody types to: %+v", s.Options)
	}
}

// A timeout counts from when the command began, also for an exec that attached later.
func TestTimeout(t *testing.T) {
	x := prepared(t, step.Pinned{})
	for grace, want := range map[time.Duration]time.Duration{0: DefaultGrace, -1: 0, time.Second: time.Second} {
		if x.Grace = grace; x.grace() != want {
			t.Errorf("%v: %v", grace, x.grace())
		}
	}
	x.meta.Execs = []workspace.Exec{{StartedAt: workspace.Time{Time: time.Now().Add(-time.Hour)}}}
	if x.timeout() != nil {
		t.Error("a timeout that nobody asked for")
	}
	x.meta.TimeoutMs = 1000
	select {
	case <-x.timeout():
	case <-time.After(time.Second):
		t.Error("an hour has not been a second")
	}
	x.Timeout = 2 * time.Hour // replaces the prepared one
	select {
	case <-x.timeout():
		t.Error("an hour has been two")
	case <-time.After(20 * time.Millisecond):
	}
}
