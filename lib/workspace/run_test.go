package workspace

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pipex/lib/tree"
)

func TestStagedRunIsComplete(t *testing.T) {
	ws, _ := newWorkspace(t)
	shared, err := ws.Shared(context.Background())
	ok(t, err)
	run, err := ws.Stage(&Meta{RunID: "run", Status: Prepared}, shared, func(r Run) error {
		if got := names(t, ws, stagingDir); len(got) > 0 {
			t.Errorf("seen in staging while it is filled: %v", got)
		}
		return os.WriteFile(filepath.Join(r.Artifacts(), "f"), nil, 0o600)
	})
	ok(t, err)
	if got := names(t, ws, stagingDir, "run"); !slices.Equal(got, []string{"artifacts", "meta.json", "stderr.log", "stdout.log"}) {
		t.Errorf("holds %v", got)
	}
	m, err := run.Meta()
	if err != nil || m.RunID != "run" || m.Status != Prepared {
		t.Errorf("%v, %v", m, err)
	}
}

func TestStageThatFailsLeavesNothing(t *testing.T) {
	ws, _ := newWorkspace(t)
	shared, err := ws.Shared(context.Background())
	ok(t, err)
	if _, err := ws.Stage(&Meta{RunID: "run"}, shared, func(Run) error { return fs.ErrPermission }); !errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
	if got := append(names(t, ws, stagingDir), names(t, ws, private, "new")...); len(got) > 0 {
		t.Errorf("left: %v", got)
	}
}

func TestStageRefusesTakenIDs(t *testing.T) {
	ws, _ := newWorkspace(t)
	stage(t, ws, Meta{RunID: "open"})
	commit(t, ws, Meta{RunID: "done"})
	for _, id := range []string{"open", "done"} {
		shared, err := ws.Shared(context.Background())
		ok(t, err)
		if _, err := ws.Stage(&Meta{RunID: id}, shared, nil); !errors.Is(err, ErrExists) {
			t.Errorf("%s: %v", id, err)
		}
		shared.Release()
	}
}

// A draft that a crash left under the same id does not prevent a new run.
func TestStageReplacesDraft(t *testing.T) {
	ws, _ := newWorkspace(t)
	ok(t, os.MkdirAll(ws.path(private, "new", "run", "artifacts", "old"), 0o755))
	run := stage(t, ws, Meta{RunID: "run"}, "f")
	if got := names(t, ws, stagingDir, run.ID, "artifacts"); !slices.Equal(got, []string{"f"}) {
		t.Errorf("holds %v", got)
	}
}

func TestCommittedRunIsImmutableAndListed(t *testing.T) {
	ws, _ := newWorkspace(t)
	m := Meta{RunID: "run", Status: Success}
	open := stage(t, ws, m, "f", "g")
	run, err := ws.Commit(context.Background(), open, &m)
	ok(t, err)
	if _, err := os.Lstat(open.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("still in staging: %v", err)
	}
	info, err := os.Stat(filepath.Join(run.Artifacts(), "f"))
	if err != nil || info.Mode().Perm()&0o222 != 0 {
		t.Errorf("can be written to: %v, %v", info.Mode(), err)
	}
	list, err := os.Open(run.Manifest())
	ok(t, err)
	defer list.Close()
	content, err := tree.ReadManifest(list)
	ok(t, err)
	again, err := run.Meta()
	ok(t, err)
	if a := again.Artifacts; a == nil || a.Digest != content.Digest() || a.Files != 2 || a.Bytes != int64(len("content of f")*2) {
		t.Errorf("meta.json says %+v", again.Artifacts)
	}
	if err := os.RemoveAll(run.Dir); err != nil {
		t.Errorf("rm -rf: %v", err)
	}
}

func TestCommitRefusesSpecialFiles(t *testing.T) {
	ws, _ := newWorkspace(t)
	m := Meta{RunID: "run", Status: Success}
	run := stage(t, ws, m, "f")
	ok(t, mkfifo(filepath.Join(run.Artifacts(), "pipe")))
	_, err := ws.Commit(context.Background(), run, &m)
	var special *tree.SpecialError
	if !errors.As(err, &special) || special.Path != "pipe" {
		t.Errorf("got %v", err)
	}
	if r, err := ws.Run("run"); err != nil || r.Committed {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestDiscardTouchesNothingOutside(t *testing.T) {
	ws, _ := newWorkspace(t)
	outside := t.TempDir()
	ok(t, os.WriteFile(filepath.Join(outside, "f"), []byte("safe"), 0o600))
	run := stage(t, ws, Meta{RunID: "run"})
	ok(t, os.Symlink(outside, filepath.Join(run.Artifacts(), "link")))
	ok(t, os.RemoveAll(filepath.Join(run.Dir, "stdout.log")))
	ok(t, os.Symlink(filepath.Join(outside, "f"), run.Stdout()))
	ok(t, ws.Discard(run))
	if data, err := os.ReadFile(filepath.Join(outside, "f")); string(data) != "safe" {
		t.Errorf("%q, %v", data, err)
	}
	if got := append(names(t, ws, stagingDir), names(t, ws, private, "tmp")...); len(got) > 0 {
		t.Errorf("left: %v", got)
	}
	ok(t, ws.Discard(run)) // gone is success
}

func TestRunIsFoundOrSaidToBeMissing(t *testing.T) {
	ws, _ := newWorkspace(t)
	stage(t, ws, Meta{RunID: "open"})
	commit(t, ws, Meta{RunID: "done"})
	if r, err := ws.Run("open"); err != nil || r.Committed {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := ws.Run("done"); err != nil || !r.Committed {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := ws.OpenRun("done"); !errors.Is(err, ErrCommitted) {
		t.Error(err)
	}
	if _, err := ws.Run("none"); !errors.Is(err, ErrNoRun) || !strings.Contains(err.Error(), `"none"`) {
		t.Error(err)
	}
	if _, err := ws.Run("../ws"); err == nil {
		t.Error("a path was taken for a name")
	}
}

func TestListsHoldRunsOnly(t *testing.T) {
	ws, workdir := newWorkspace(t)
	commit(t, ws, Meta{RunID: "b"})
	commit(t, ws, Meta{RunID: "a"})
	ok(t, os.WriteFile(ws.path(runsDir, "file"), nil, 0o600))
	ok(t, os.Symlink("a", ws.path(runsDir, "link")))
	ok(t, os.Mkdir(ws.path(runsDir, ".hidden"), 0o700))
	runs, err := ws.Runs()
	ok(t, err)
	if len(runs) != 2 || runs[0].ID != "a" || runs[1].ID != "b" {
		t.Errorf("%v", runs)
	}
	if all, err := List(workdir); err != nil || !slices.Equal(all, []string{"ws"}) {
		t.Errorf("%v, %v", all, err)
	}
	if all, err := List(filepath.Join(workdir, "none")); err != nil || len(all) > 0 {
		t.Errorf("%v, %v", all, err)
	}
}
