package run

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"pipex/lib/internal/endpoint"
	"pipex/lib/name"
	"pipex/lib/workspace"
)

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open makes an open run r in a new workspace.
func open(t *testing.T, m workspace.Meta) (Place, *workspace.Workspace, workspace.Run) {
	t.Helper()
	p := Place{Workdir: t.TempDir(), Workspace: "ws"}
	ws, err := workspace.Create(p.Workdir, p.Workspace)
	ok(t, err)
	shared, err := ws.Shared(t.Context())
	ok(t, err)
	m.RunID, m.PreparedAt = "r", workspace.Now()
	r, err := ws.Stage(&m, shared, func(r workspace.Run) error {
		return os.WriteFile(filepath.Join(r.Artifacts(), "f"), []byte("text"), 0o600)
	})
	ok(t, err)
	return p, ws, r
}

func TestDefaults(t *testing.T) {
	p := Place{}.WithDefaults()
	if p.Workdir != "./workdir" || p.Workspace != "default" || p.Containerd != (endpoint.Containerd{}).WithDefaults() {
		t.Errorf("%+v", p)
	}
	own := Place{Workdir: "w", Workspace: "s", Containerd: endpoint.Containerd{Address: "a"}}.WithDefaults()
	if own.Workdir != "w" || own.Workspace != "s" || own.Address != "a" {
		t.Errorf("%+v", own)
	}
}

// Nobody need listen to warnings, and no error is none.
func TestWarning(t *testing.T) {
	Place{}.Warning(errors.New("x"))
	var told []error
	p := Place{Warn: func(err error) { told = append(told, err) }}
	p.Warning(nil)
	if p.Warning(errors.New("x")); len(told) != 1 {
		t.Errorf("%v", told)
	}
}

// A run may be committed after success, or where a failure is allowed; the error says what
// to do about the others, and leaves them open.
func TestCommitWhatMayBe(t *testing.T) {
	code, container := 3, &workspace.Container{ID: "id"}
	for what, c := range map[string]struct {
		meta  workspace.Meta
		allow bool
		says  string // of the error
	}{
		"filled by hand":       {workspace.Meta{Status: workspace.Prepared}, false, ""},
		"a success":            {workspace.Meta{Status: workspace.Success, Container: container}, false, ""},
		"a failure":            {workspace.Meta{Status: workspace.Failure, ExitCode: &code}, false, "its command returned 3; --allow-failure"},
		"an allowed failure":   {workspace.Meta{Status: workspace.Failure, ExitCode: &code}, true, ""},
		"never executed":       {workspace.Meta{Status: workspace.Prepared, Container: container}, false, "pipex-exec r"},
		"that is no failure":   {workspace.Meta{Status: workspace.Prepared, Container: container}, true, "pipex-exec r"},
		"running":              {workspace.Meta{Status: workspace.Running, Container: container}, true, "pipex-exec r attaches"},
		"no status":            {workspace.Meta{}, true, "pipex-exec r"},
		"a status of the past": {workspace.Meta{Status: "strange"}, true, "pipex-exec r"},
	} {
		p, ws, _ := open(t, c.meta)
		m, owns, err := Commit(t.Context(), p, "r", CommitOptions{AllowFailure: c.allow})
		now, found := ws.Run("r")
		ok(t, found)
		if (err == nil) != (c.says == "") || now.Committed != (err == nil) || (m != nil) != now.Committed {
			t.Errorf("%s: %v; committed: %v", what, err, now.Committed)
			continue
		}
		if err != nil && (!errors.Is(err, workspace.ErrNotSuccessful) || !strings.Contains(err.Error(), c.says) || owns) {
			t.Errorf("%s: %v", what, err)
		}
		if err == nil && owns != (c.meta.Container != nil) {
			t.Errorf("%s: it owns something: %v", what, owns)
		}
	}
}

// A record of another tool may have no status of the command.
func TestCommitAFailureWithoutStatus(t *testing.T) {
	p, _, _ := open(t, workspace.Meta{Status: workspace.Failure})
	if _, _, err := Commit(t.Context(), p, "r", CommitOptions{}); !errors.Is(err, workspace.ErrNotSuccessful) || !strings.Contains(err.Error(), "--allow-failure") {
		t.Errorf("%v", err)
	}
}

// Whoever commits a run without a container says by it that the run is a success, and its
// record says so.
func TestCommitByHandCompletesTheRecord(t *testing.T) {
	p, ws, _ := open(t, workspace.Meta{Status: workspace.Prepared})
	_, _, err := Commit(t.Context(), p, "r", CommitOptions{})
	ok(t, err)
	r, err := ws.Run("r")
	ok(t, err)
	m, err := r.Meta()
	ok(t, err)
	if m.Status != workspace.Success || m.ExitCode == nil || *m.ExitCode != 0 || m.StartedAt == nil || m.FinishedAt == nil || m.DurationMs < 0 || m.Artifacts == nil || m.Artifacts.Files != 1 {
		t.Errorf("%+v", m)
	}
}

// Committing a committed run does nothing, whatever is allowed, and owns nothing more.
func TestCommitAgain(t *testing.T) {
	p, ws, _ := open(t, workspace.Meta{Status: workspace.Success, Container: &workspace.Container{ID: "id"}})
	_, owns, err := Commit(t.Context(), p, "r", CommitOptions{})
	if !owns || err != nil {
		t.Errorf("%v, %v", owns, err)
	}
	r, err := ws.Run("r")
	ok(t, err)
	before, err := os.ReadFile(filepath.Join(r.Dir, "meta.json"))
	ok(t, err)
	m, owns, err := Commit(t.Context(), p, "r", CommitOptions{AllowSpecial: true})
	if owns || err != nil || m == nil {
		t.Errorf("%v, %v", owns, err)
	}
	if after, err := os.ReadFile(filepath.Join(r.Dir, "meta.json")); string(after) != string(before) {
		t.Errorf("%s, %v", after, err)
	}
}

// Special files are refused, with the way out, and dropped where that is asked for.
func TestCommitSpecialFiles(t *testing.T) {
	p, ws, r := open(t, workspace.Meta{Status: workspace.Success})
	ok(t, unix.Mkfifo(filepath.Join(r.Artifacts(), "fifo\n"), 0o600))
	if _, _, err := Commit(t.Context(), p, "r", CommitOptions{}); err == nil || !strings.Contains(err.Error(), "--allow-special") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
	if now, err := ws.Run("r"); err != nil || now.Committed {
		t.Errorf("%+v, %v", now, err)
	}
	m, _, err := Commit(t.Context(), p, "r", CommitOptions{AllowSpecial: true})
	if err != nil || m.Artifacts.Files != 1 {
		t.Errorf("%+v, %v", m, err)
	}
	if differences, err := Verify(t.Context(), p, "r"); err != nil || len(differences) > 0 {
		t.Errorf("%v, %v", differences, err)
	}
}

// A caller who gives up leaves the run open and free, to be committed later.
func TestCommitGivesUp(t *testing.T) {
	p, ws, _ := open(t, workspace.Meta{Status: workspace.Success})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Commit(ended, p, "r", CommitOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if r, err := ws.Run("r"); err != nil || r.Committed {
		t.Errorf("%+v, %v", r, err)
	}
	_, _, err := Commit(t.Context(), p, "r", CommitOptions{})
	ok(t, err)
}

// Each verb says what is missing in a way that a caller can tell apart, and refuses a name
// before it looks.
func TestVerbsOnWhatIsNotThere(t *testing.T) {
	p, _, _ := open(t, workspace.Meta{Status: workspace.Success})
	elsewhere := p
	elsewhere.Workspace = "none"
	var wrong *name.Error
	for verb, do := range map[string]func(p Place, id string) error{
		"commit": func(p Place, id string) error { _, _, err := Commit(t.Context(), p, id, CommitOptions{}); return err },
		"verify": func(p Place, id string) error { _, err := Verify(t.Context(), p, id); return err },
		"link":   func(p Place, id string) error { return Link(t.Context(), p, "s", id) },
	} {
		if err := do(p, "none"); !errors.Is(err, workspace.ErrNoRun) {
			t.Errorf("%s: %v", verb, err)
		}
		if err := do(elsewhere, "r"); !errors.Is(err, workspace.ErrNoWorkspace) {
			t.Errorf("%s: %v", verb, err)
		}
		for _, id := range []string{"", "..", "../ws/staging/r", "a/b", "-r", "r\x00", "é", strings.Repeat("r", 129)} {
			if err := do(p, id); !errors.As(err, &wrong) {
				t.Errorf("%s %q: %v", verb, id, err)
			}
		}
	}
	for verb, do := range map[string]func(p Place) error{
		"link":   func(p Place) error { _, err := Linked(p, "s"); return err },
		"unlink": func(p Place) error { return Unlink(t.Context(), p, "s") },
	} {
		if err := do(p); !errors.Is(err, workspace.ErrNoStep) {
			t.Errorf("%s: %v", verb, err)
		}
		if err := do(elsewhere); !errors.Is(err, workspace.ErrNoWorkspace) {
			t.Errorf("%s: %v", verb, err)
		}
	}
	if _, err := Links(elsewhere); !errors.Is(err, workspace.ErrNoWorkspace) {
		t.Errorf("links: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(p.Workdir, "none")); err == nil {
		t.Error("a workspace was made by looking for it")
	}
}

// A name comes, moves and goes, and never takes the run with it.
func TestLinks(t *testing.T) {
	p, ws, _ := open(t, workspace.Meta{Status: workspace.Success})
	if err := Link(t.Context(), p, "s", "r"); !errors.Is(err, workspace.ErrNotCommitted) {
		t.Errorf("an open run: %v", err)
	}
	if _, err := Verify(t.Context(), p, "r"); !errors.Is(err, workspace.ErrNotCommitted) {
		t.Errorf("an open run: %v", err)
	}
	_, _, err := Commit(t.Context(), p, "r", CommitOptions{})
	ok(t, err)
	for range 2 {
		ok(t, Link(t.Context(), p, "s", "r"))
	}
	if id, err := Linked(p, "s"); id != "r" || err != nil {
		t.Errorf("%q, %v", id, err)
	}
	if links, err := Links(p); err != nil || len(links) != 1 || links[0] != (workspace.Link{Step: "s", RunID: "r"}) {
		t.Errorf("%v, %v", links, err)
	}
	ok(t, Unlink(t.Context(), p, "s"))
	if links, err := Links(p); err != nil || len(links) > 0 {
		t.Errorf("%v, %v", links, err)
	}
	if r, err := ws.Run("r"); err != nil || !r.Committed {
		t.Errorf("%+v, %v", r, err)
	}
}

// What was changed after commit is told.
func TestVerify(t *testing.T) {
	p, ws, _ := open(t, workspace.Meta{Status: workspace.Success})
	_, _, err := Commit(t.Context(), p, "r", CommitOptions{})
	ok(t, err)
	r, err := ws.Run("r")
	ok(t, err)
	ok(t, os.Chmod(r.Artifacts(), 0o700))
	ok(t, os.WriteFile(filepath.Join(r.Artifacts(), "new"), nil, 0o600))
	if found, err := Verify(t.Context(), p, "r"); err != nil || len(found) == 0 {
		t.Errorf("%v, %v", found, err)
	}
	ok(t, os.Truncate(r.Manifest(), 3))
	if found, err := Verify(t.Context(), p, "r"); err == nil {
		t.Errorf("a damaged manifest: %v", found)
	}
}

// A run that another process holds is busy, and the error says who has it; a committed one
// needs no lock.
func TestHold(t *testing.T) {
	p, ws, _ := open(t, workspace.Meta{Status: workspace.Success})
	r, lock, err := Hold(ws, "r", "first")
	if err != nil || lock == nil || r.Committed {
		t.Fatalf("%+v, %v", r, err)
	}
	var busy *workspace.BusyError
	if _, second, err := Hold(ws, "r", "second"); !errors.As(err, &busy) || second != nil || !strings.Contains(err.Error(), "pipex-first") {
		t.Errorf("%v", err)
	}
	if _, _, err := Commit(t.Context(), p, "r", CommitOptions{}); !errors.As(err, &busy) {
		t.Errorf("%v", err)
	}
	lock.Release()
	if _, lock, err := Hold(ws, "none", "x"); !errors.Is(err, workspace.ErrNoRun) || lock != nil {
		t.Errorf("%v", err)
	}
	_, _, err = Commit(t.Context(), p, "r", CommitOptions{})
	ok(t, err)
	for range 2 {
		if r, lock, err := Hold(ws, "r", "x"); err != nil || !r.Committed || lock != nil {
			t.Errorf("%+v, %v", r, err)
		}
	}
	if _, lock, err := HoldOpen(ws, "r", "x", "do that instead"); !errors.Is(err, workspace.ErrCommitted) || !strings.Contains(err.Error(), "do that instead") || lock != nil {
		t.Errorf("%v", err)
	}
}
