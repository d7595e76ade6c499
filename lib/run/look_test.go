package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"pipex/lib/step"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

// pinned returns a run whose mount and source were seen as prepare sees them.
func pinned(t *testing.T) (p Place, ws *workspace.Workspace, r workspace.Run, m *workspace.Meta, dir string) {
	t.Helper()
	dir = t.TempDir()
	ok(t, errors.Join(os.WriteFile(filepath.Join(dir, "f"), []byte("text"), 0o644), os.Mkdir(filepath.Join(dir, "d"), 0o755)))
	m = &workspace.Meta{Status: workspace.Success, Fingerprint: "f1"}
	m.Mounts = []step.PinnedMount{{HostPath: dir, ContainerPath: "/m"}}
	m.Sources = []step.PinnedMount{{HostPath: dir, ContainerPath: "/s"}}
	p, ws, r = open(t, *m)
	stamps := new(tree.Stamps)
	_, err := tree.Scan(t.Context(), dir, tree.Stamped(stamps))
	ok(t, err)
	ok(t, ws.KeepSeen(r, map[string]*tree.Stamps{dir: stamps}))
	return p, ws, r, m, dir
}

// What has changed is found in mounts and sources, warned of once, and stays in the record; a
// record lists a hundred changes and counts the others.
func TestLook(t *testing.T) {
	p, _, r, m, dir := pinned(t)
	var warnings []error
	p.Warn = func(err error) { warnings = append(warnings, err) }
	Look(t.Context(), p, r, m)
	if m.LookedAt == nil || m.ChangedInputs != nil || warnings != nil {
		t.Errorf("nothing has changed: %+v, %v", m.ChangedInputs, warnings)
	}
	added := filepath.Join(dir, "new")
	ok(t, os.WriteFile(added, nil, 0o644))
	for range 2 {
		Look(t.Context(), p, r, m)
		want := fmt.Sprint([]workspace.ChangedInput{{Path: added, ContainerPath: "/m/new", Change: "added"}, {Path: added, ContainerPath: "/s/new", Change: "added"}})
		if fmt.Sprint(m.ChangedInputs) != want {
			t.Errorf("%v, want %s", m.ChangedInputs, want)
		}
	}
	if len(warnings) != 2 {
		t.Errorf("%v", warnings)
	}
	for i := range 150 {
		ok(t, os.WriteFile(filepath.Join(dir, "d", fmt.Sprint(i)), nil, 0o644))
	}
	for range 2 {
		Look(t.Context(), p, r, m)
	}
	if len(m.ChangedInputs) != 100 || m.ChangedInputsMore != 202 {
		t.Errorf("%d listed, %d counted", len(m.ChangedInputs), m.ChangedInputsMore)
	}
}

// A look that is given up, or that finds no list, says that everything may have changed.
func TestLookFails(t *testing.T) {
	p, _, r, m, dir := pinned(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	Look(ended, p, r, m)
	if len(m.ChangedInputs) != 2 || m.ChangedInputs[0].Change != workspace.Unknown || m.ChangedInputs[0].Path != dir || m.ChangedInputs[0].Reason != "interrupted" {
		t.Errorf("%+v", m.ChangedInputs)
	}
	p, _, r, m, _ = pinned(t)
	ok(t, os.RemoveAll(filepath.Join(r.Dir, "seen")))
	Look(t.Context(), p, r, m)
	if len(m.ChangedInputs) != 2 || m.ChangedInputs[1].Change != workspace.Unknown {
		t.Errorf("%+v", m.ChangedInputs)
	}
}

// Commit looks at a run that nobody has looked at, and keeps no list of what prepare saw.
func TestCommitLooks(t *testing.T) {
	p, ws, r, _, dir := pinned(t)
	ok(t, os.WriteFile(filepath.Join(dir, "f"), []byte("texT"), 0o644))
	m, _, err := Commit(t.Context(), p, r.ID, CommitOptions{})
	ok(t, err)
	if len(m.ChangedInputs) != 2 || m.LookedAt == nil {
		t.Errorf("%+v", m)
	}
	if id, err := ws.Lookup(t.Context(), "f1", func(error) {}); id != "" || err != nil {
		t.Errorf("offered: %q, %v", id, err)
	}
	done, err := ws.Run(r.ID)
	ok(t, err)
	if _, err := os.Lstat(filepath.Join(done.Dir, "seen")); err == nil {
		t.Error("the list is left")
	}
}
