package prepare

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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

// nowhere is a place without a workspace and without a containerd.
func nowhere(t *testing.T) run.Place {
	dir := t.TempDir()
	return run.Place{Workdir: filepath.Join(dir, "workdir"), Workspace: "ws", Containerd: endpoint.Containerd{Address: filepath.Join(dir, "none.sock")}}
}

// committed makes a committed run of a step, of the content text, and names it.
func committed(t *testing.T, p run.Place, stepName, text string) string {
	t.Helper()
	prepared, err := Prepare(t.Context(), p, Options{Spec: step.Spec{Step: stepName}})
	ok(t, err)
	ws, err := p.Open()
	ok(t, err)
	r, err := ws.Run(prepared.RunID)
	ok(t, err)
	ok(t, os.WriteFile(filepath.Join(r.Artifacts(), "f"), []byte(text), 0o644))
	_, _, err = run.Commit(t.Context(), p, r.ID, run.CommitOptions{})
	ok(t, err)
	ok(t, run.Link(t.Context(), p, stepName, r.ID))
	return r.ID
}

// meta is the record of a run.
func meta(t *testing.T, p run.Place, id string) (workspace.Run, *workspace.Meta) {
	t.Helper()
	ws, err := p.Open()
	ok(t, err)
	r, err := ws.Run(id)
	ok(t, err)
	m, err := r.Meta()
	ok(t, err)
	return r, m
}

// listing is every name below a directory.
func listing(t *testing.T, dir string) (names []string) {
	t.Helper()
	ok(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		names = append(names, path)
		return err
	}))
	return names
}

// The zero step is a run without a container, complete and ready to be filled.
func TestPrepareOfZeroOptions(t *testing.T) {
	p := nowhere(t)
	prepared, err := Prepare(t.Context(), p, Options{})
	ok(t, err)
	r, m := meta(t, p, prepared.RunID)
	if r.Committed || m.Status != workspace.Prepared || m.Container != nil || prepared.UpToDate || m.Fingerprint != prepared.Fingerprint || len(prepared.Fingerprint) != 64 {
		t.Errorf("%+v, %+v", prepared, m)
	}
	if m.Cmd == nil || m.Cwd != "/" || m.Output != "/output" || m.Network != step.NetworkNone || m.AllowNetwork || m.Host == "" || m.Version == "" {
		t.Errorf("%+v", m)
	}
	for _, path := range []string{r.Stdout(), r.Stderr()} {
		if info, err := os.Stat(path); err != nil || info.Size() != 0 {
			t.Errorf("%v, %v", info, err)
		}
	}
	if entries, err := os.ReadDir(r.Artifacts()); err != nil || len(entries) > 0 {
		t.Errorf("%v, %v", entries, err)
	}
}

// What cannot be prepared is told apart by a caller, and creates nothing: not the workspace
// either.
func TestPrepareThatFailsCreatesNothing(t *testing.T) {
	dir := t.TempDir()
	gone := filepath.Join(dir, "gone")
	usage := func(err error) bool {
		var u *name.UsageError
		var n *name.Error
		return errors.As(err, &u) || errors.As(err, &n)
	}
	is := func(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }
	cmd := step.Options{Cmd: []string{"true"}}
	for what, c := range map[string]struct {
		opt Options
		is  func(error) bool
	}{
		"no containerd":        {Options{Spec: step.Spec{Image: "i", Options: cmd}}, is(containerd.ErrUnreachable)},
		"a hostile step":       {Options{Spec: step.Spec{Step: "../s"}}, usage},
		"a hostile run":        {Options{RunID: "../r"}, usage},
		"a run of NUL":         {Options{RunID: "r\x00"}, usage},
		"a command, no image":  {Options{Spec: step.Spec{Options: cmd}}, usage},
		"no such capability":   {Options{Spec: step.Spec{Image: "i", Options: step.Options{Cmd: []string{"true"}, CapAdd: []string{"NO_SUCH"}}}}, usage},
		"no such mount":        {Options{Spec: step.Spec{Image: "i", Options: cmd, Mounts: []step.Mount{{Host: gone, Path: "/m"}}}}, is(os.ErrNotExist)},
		"no such source":       {Options{Spec: step.Spec{Image: "i", Options: cmd, Sources: []step.Mount{{Host: gone, Path: "/m"}}}}, is(os.ErrNotExist)},
		"no such secret":       {Options{Spec: step.Spec{Image: "i", Options: step.Options{Cmd: []string{"true"}, Secrets: []step.Secret{{Name: "S", File: gone}}}}}, is(os.ErrNotExist)},
		"no workspace to read": {Options{Spec: step.Spec{Inputs: []step.Input{{Step: "a"}}}}, is(workspace.ErrNoWorkspace)},
		"no such device":       {Options{Spec: step.Spec{Image: "i", Options: step.Options{Cmd: []string{"true"}, Devices: []string{"vendor.example/class=none"}}}}, func(err error) bool { return err != nil }},
		"no such network":      {Options{Spec: step.Spec{Image: "i", Options: step.Options{Cmd: []string{"true"}, Network: "cni:no-such-network"}}}, func(err error) bool { return err != nil }},
	} {
		p := nowhere(t)
		prepared, err := Prepare(t.Context(), p, c.opt)
		if err == nil || !c.is(err) || prepared != nil || strings.ContainsAny(err.Error(), "\n\x00") {
			t.Errorf("%s: %+v, %v", what, prepared, err)
		}
		if _, err := os.Lstat(p.Workdir); err == nil {
			t.Errorf("%s: created %q", what, listing(t, p.Workdir))
		}
	}
}

// In a workspace that stands, a failure leaves it as it was, and nobody holds anything.
func TestPrepareThatFailsLeavesTheWorkspace(t *testing.T) {
	p := nowhere(t)
	id := committed(t, p, "a", "text")
	open, err := Prepare(t.Context(), p, Options{RunID: "open"})
	ok(t, err)
	ws, err := p.Open()
	ok(t, err)
	before := listing(t, p.Workdir)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	is := func(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }
	var busy *workspace.BusyError
	for what, c := range map[string]struct {
		ctx context.Context
		opt Options
		is  func(error) bool
	}{
		"a run that is open":     {t.Context(), Options{RunID: open.RunID}, is(workspace.ErrExists)},
		"one that is committed":  {t.Context(), Options{RunID: id}, is(workspace.ErrExists)},
		"no such step":           {t.Context(), Options{Spec: step.Spec{Inputs: []step.Input{{Step: "none"}}}}, is(workspace.ErrNoStep)},
		"no such run":            {t.Context(), Options{Spec: step.Spec{Inputs: []step.Input{{Step: "a", Run: "none"}}}}, is(workspace.ErrNoRun)},
		"a run that is not yet":  {t.Context(), Options{Spec: step.Spec{Inputs: []step.Input{{Step: "a", Run: "open"}}}}, is(workspace.ErrNotCommitted)},
		"not optional either":    {t.Context(), Options{Spec: step.Spec{Inputs: []step.Input{{Step: "a", Run: "open", Optional: true}}}}, is(workspace.ErrNotCommitted)},
		"no containerd":          {t.Context(), Options{Spec: step.Spec{Image: "i", Options: step.Options{Cmd: []string{"true"}}}}, is(containerd.ErrUnreachable)},
		"a caller who has left":  {ended, Options{Spec: step.Spec{Inputs: []step.Input{{Step: "a", Copy: true}}}}, is(context.Canceled)},
		"an id that another has": {t.Context(), Options{RunID: "held"}, func(err error) bool { return errors.As(err, &busy) }},
	} {
		if what == "an id that another has" {
			lock, err := ws.HoldRun("held", "test")
			ok(t, err)
			defer lock.Release()
			before = listing(t, p.Workdir)
		}
		if prepared, err := Prepare(c.ctx, p, c.opt); err == nil || !c.is(err) || prepared != nil {
			t.Errorf("%s: %+v, %v", what, prepared, err)
		}
		if after := listing(t, p.Workdir); !slices.Equal(after, before) {
			t.Errorf("%s: there were %q\nand are %q", what, before, after)
		}
	}
}

// An input is pinned to the run that its name stands for now, and to its content: the name
// may move afterwards.
func TestInputsArePinned(t *testing.T) {
	p := nowhere(t)
	first := committed(t, p, "a", "text")
	spec := step.Spec{Inputs: []step.Input{{Step: "a"}, {Step: "none", Optional: true}}}
	one, err := Prepare(t.Context(), p, Options{Spec: spec})
	ok(t, err)
	second := committed(t, p, "a", "text")
	same, err := Prepare(t.Context(), p, Options{Spec: spec})
	ok(t, err)
	committed(t, p, "a", "other")
	other, err := Prepare(t.Context(), p, Options{Spec: spec})
	ok(t, err)

	_, m := meta(t, p, one.RunID)
	if len(m.Inputs) != 1 || m.Inputs[0].RunID != first || m.Inputs[0].MountedAs != "/input/a" || !strings.HasPrefix(m.Inputs[0].Digest, "sha256:") {
		t.Errorf("%+v", m.Inputs)
	}
	if _, m := meta(t, p, same.RunID); m.Inputs[0].RunID != second || same.Fingerprint != one.Fingerprint {
		t.Errorf("the same content: %+v", m.Inputs)
	}
	if other.Fingerprint == one.Fingerprint {
		t.Error("another content has the same fingerprint")
	}
}

// The artifacts of copied inputs are in the output, the later ones over the earlier, and
// can be written to without touching the run that they come from.
func TestCopiedInputs(t *testing.T) {
	p := nowhere(t)
	first := committed(t, p, "a", "a")
	committed(t, p, "b", "b")
	prepared, err := Prepare(t.Context(), p, Options{Spec: step.Spec{Inputs: []step.Input{{Step: "b", Copy: true}, {Step: "a", Copy: true}}}})
	ok(t, err)
	r, _ := meta(t, p, prepared.RunID)
	path := filepath.Join(r.Artifacts(), "f")
	if text, err := os.ReadFile(path); string(text) != "a" {
		t.Errorf("%q, %v", text, err)
	}
	ok(t, os.WriteFile(path, []byte("changed"), 0))
	if found, err := run.Verify(t.Context(), p, first); err != nil || len(found) > 0 {
		t.Errorf("%v, %v", found, err)
	}
}

// A committed run with the fingerprint is found instead, whichever step it belongs to, and
// nothing is created; a failed one is not.
func TestCached(t *testing.T) {
	p := nowhere(t)
	id := committed(t, p, "a", "text")
	before := listing(t, filepath.Join(p.Workdir, "ws", "staging"))
	for _, stepName := range []string{"a", "other", ""} {
		prepared, err := Prepare(t.Context(), p, Options{Spec: step.Spec{Step: stepName}, Cached: true})
		if err != nil || !prepared.UpToDate || prepared.RunID != id {
			t.Errorf("%q: %+v, %v", stepName, prepared, err)
		}
	}
	if after := listing(t, filepath.Join(p.Workdir, "ws", "staging")); !slices.Equal(after, before) {
		t.Errorf("%q", after)
	}
	spec := step.Spec{Step: "a", Options: step.Options{Env: map[string]string{"K": "v"}}}
	prepared, err := Prepare(t.Context(), p, Options{Spec: spec, Cached: true})
	if err != nil || prepared.UpToDate {
		t.Fatalf("%+v, %v", prepared, err)
	}
	ws, err := p.Open()
	ok(t, err)
	r, m := meta(t, p, prepared.RunID)
	code := 1
	m.Status, m.ExitCode = workspace.Failure, &code
	ok(t, ws.WriteMeta(r, m))
	_, _, err = run.Commit(t.Context(), p, r.ID, run.CommitOptions{AllowFailure: true})
	ok(t, err)
	if again, err := Prepare(t.Context(), p, Options{Spec: spec, Cached: true}); err != nil || again.UpToDate {
		t.Errorf("a failed run was found: %+v, %v", again, err)
	}
}

// A mount is pinned to what it really is and to its content. What pipex keeps below it is
// no content.
func TestHash(t *testing.T) {
	p := nowhere(t)
	dir := filepath.Dir(p.Workdir)
	ok(t, os.WriteFile(filepath.Join(dir, "f"), []byte("text"), 0o644))
	digest := func(ws *workspace.Workspace) string {
		content, err := Hash(t.Context(), p, ws, dir)
		ok(t, err)
		return content.Digest()
	}
	before := digest(nil)
	committed(t, p, "a", "text")
	ws, err := p.Open()
	ok(t, err)
	for range 2 { // the second time from the cache
		if got := digest(ws); got != before {
			t.Errorf("%s, want %s: the workdir is content", got, before)
		}
	}
	daemon := filepath.Join(dir, "daemon")
	ok(t, errors.Join(os.Mkdir(daemon, 0o755), os.WriteFile(filepath.Join(daemon, "pipex.lock"), nil, 0o644)))
	p.Address = "unix://" + filepath.Join(daemon, "containerd.sock")
	if got := digest(ws); got != before {
		t.Errorf("%s, want %s: containerd's directory is content", got, before)
	}
	ok(t, os.WriteFile(filepath.Join(dir, "f"), []byte("texT"), 0o644))
	if got := digest(ws); got == before {
		t.Error("a change is not seen")
	}
}

func TestPin(t *testing.T) {
	p := nowhere(t)
	dir := t.TempDir()
	ok(t, errors.Join(os.WriteFile(filepath.Join(dir, "f"), nil, 0o644), os.Symlink("f", filepath.Join(dir, "link"))))
	real, err := filepath.EvalSymlinks(dir)
	ok(t, err)
	d, err := decide(t.Context(), p, Options{})
	ok(t, err)
	mounts, err := d.pin(t.Context(), []step.Mount{{Host: filepath.Join(dir, "link"), Path: "/m"}})
	if err != nil || len(mounts) != 1 || mounts[0].HostPath != filepath.Join(real, "f") || mounts[0].ContainerPath != "/m" || d.trees[mounts[0].Digest] == nil {
		t.Errorf("%+v, %v", mounts, err)
	}
	ok(t, errors.Join(os.Remove(filepath.Join(dir, "f")), os.Symlink("link", filepath.Join(dir, "f"))))
	if mounts, err := d.pin(t.Context(), []step.Mount{{Host: filepath.Join(dir, "link"), Path: "/m"}}); err == nil {
		t.Errorf("a link to itself: %+v", mounts)
	}
}

// Explain says what prepare would, and creates nothing, with a workspace and without one.
func TestExplain(t *testing.T) {
	p := nowhere(t)
	spec := step.Spec{Step: "a", Options: step.Options{Env: map[string]string{"K": "1"}}}
	e, err := Explain(t.Context(), p, Options{Spec: spec})
	if err != nil || e.RunID != "" || len(e.Differences) != 1 || e.Differences[0].String() != "step a: has no run yet" {
		t.Fatalf("%+v, %v", e, err)
	}
	if _, err := os.Lstat(p.Workdir); err == nil {
		t.Errorf("created %q", listing(t, p.Workdir))
	}
	prepared, err := Prepare(t.Context(), p, Options{Spec: spec})
	ok(t, err)
	if prepared.Fingerprint != e.Fingerprint || (&step.Pinned{}).Fingerprint() == e.Fingerprint {
		t.Errorf("%s is prepared, and %s explained", prepared.Fingerprint, e.Fingerprint)
	}
	_, _, err = run.Commit(t.Context(), p, prepared.RunID, run.CommitOptions{})
	ok(t, err)
	ok(t, run.Link(t.Context(), p, "a", prepared.RunID))
	before := listing(t, p.Workdir)
	e, err = Explain(t.Context(), p, Options{Spec: spec})
	if err != nil || e.RunID != prepared.RunID || len(e.Differences) > 0 || !strings.Contains(string(e.Canonical), `"K":"1"`) {
		t.Errorf("%+v, %v", e, err)
	}
	spec.Env = map[string]string{"K": "2"}
	e, err = Explain(t.Context(), p, Options{Spec: spec, RunID: prepared.RunID})
	if err != nil || e.RunID != "" || len(e.Differences) != 1 || e.Differences[0].String() != "env K: 1 -> 2" {
		t.Errorf("%+v, %v", e, err)
	}
	spec.Step = ""
	if e, err := Explain(t.Context(), p, Options{Spec: spec}); err != nil || e.Differences == nil || len(e.Differences) > 0 {
		t.Errorf("a step without a name: %+v, %v", e, err)
	}
	if after := listing(t, p.Workdir); !slices.Equal(after, before) {
		t.Errorf("created: %q", after)
	}
}
