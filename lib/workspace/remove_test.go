package workspace

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"pipex/lib/name"
	"pipex/lib/step"
)

func TestRemoveWorkspace(t *testing.T) {
	ws, workdir := newWorkspace(t)
	stage(t, ws, Meta{RunID: "run"})
	held, err := ws.HoldRun("run", "exec")
	ok(t, err)
	var busy *BusyError
	if err := Remove(t.Context(), workdir, "ws", nil); !errors.As(err, &busy) || busy.By == nil || busy.By.Verb != "exec" {
		t.Errorf("a run was held: %v", err)
	}
	held.Release()
	var asked []Run
	why := errors.New("why")
	if err := Remove(t.Context(), workdir, "ws", func(_ *Workspace, open []Run) error { asked = open; return why }); !errors.Is(err, why) || len(asked) != 1 {
		t.Errorf("%v, %v", asked, err)
	}
	if _, err := ws.Run("run"); err != nil {
		t.Error(err)
	}
	ok(t, os.Chmod(filepath.Join(ws.Root, stagingDir, "run", "artifacts"), 0o500))
	outside := filepath.Join(t.TempDir(), "kept")
	ok(t, os.Mkdir(outside, 0o500))
	ok(t, os.Symlink(outside, filepath.Join(ws.Root, cachesDir, "link")))
	ok(t, Remove(t.Context(), workdir, "ws", nil))
	if err := Remove(t.Context(), workdir, "ws", nil); !errors.Is(err, ErrNoWorkspace) {
		t.Error(err)
	}
	if left, err := os.ReadDir(workdir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}
	if err := Remove(t.Context(), workdir, "..", nil); err == nil {
		t.Error("removed ..")
	}
}

// A process that has opened the workspace before does not make it anew.
func TestRemovedStaysRemoved(t *testing.T) {
	ws, workdir := newWorkspace(t)
	ok(t, Remove(t.Context(), workdir, "ws", nil))
	if _, err := ws.HoldRun("run", "prune"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := os.Stat(ws.Root); !os.IsNotExist(err) {
		t.Error(err)
	}
}

// A workspace that is a symbolic link is somewhere else, where more than its name may be.
func TestRemoveRefusesALink(t *testing.T) {
	ws, _ := newWorkspace(t)
	other := t.TempDir()
	ok(t, os.Symlink(ws.Root, filepath.Join(other, "link")))
	if err := Remove(t.Context(), other, "link", nil); err == nil {
		t.Error("removed")
	}
	if _, err := os.Stat(filepath.Join(ws.Root, runsDir)); err != nil {
		t.Error(err)
	}
}

// With --workdir . any directory of a project has the name of a workspace.
func TestRemoveRefusesWhatIsNoWorkspace(t *testing.T) {
	workdir := t.TempDir()
	file := filepath.Join(workdir, "src", "file")
	ok(t, os.Mkdir(filepath.Dir(file), 0o777))
	ok(t, os.WriteFile(file, nil, 0o666))
	if err := Remove(t.Context(), workdir, "src", nil); !errors.Is(err, ErrNoWorkspace) {
		t.Error(err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

// What a killed removal left is deleted by the next one, and by a prune beside it.
func TestRemovedIsSwept(t *testing.T) {
	for what, sweep := range map[string]func(ws *Workspace, workdir string){
		"remove": func(_ *Workspace, workdir string) { Remove(t.Context(), workdir, "none", nil) },
		"prune": func(ws *Workspace, _ string) {
			_, err := ws.Prune(t.Context(), PruneOptions{}, func(string) {})
			ok(t, err)
		},
	} {
		ws, workdir := newWorkspace(t)
		left := filepath.Join(workdir, removedPrefix+name.NewID())
		ok(t, os.MkdirAll(filepath.Join(left, runsDir, "run"), 0o777))
		other := filepath.Join(workdir, removedPrefix+"x") // not made by Remove
		ok(t, os.Mkdir(other, 0o777))
		sweep(ws, workdir)
		if _, err := os.Stat(other); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := os.Stat(left); !os.IsNotExist(err) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := Open(workdir, "ws"); err != nil {
			t.Error(err)
		}
	}
}

func TestRemoveCache(t *testing.T) {
	ws, _ := newWorkspace(t)
	for _, cache := range []string{"a", "b", "c"} {
		_, err := ws.PrepareCache(cache)
		ok(t, err)
	}
	m := Meta{RunID: "run"}
	m.CacheMounts = []step.Cache{{Name: "a", Path: "/a"}}
	m.Setup = &step.PinnedSetup{CacheMounts: []step.Cache{{Name: "b", Path: "/b"}}}
	stage(t, ws, m)
	held, err := ws.HoldRun("run", "exec")
	ok(t, err)
	var busy *BusyError
	for _, cache := range []string{"a", "b"} {
		if err := ws.RemoveCache(t.Context(), cache, nil); !errors.As(err, &busy) {
			t.Errorf("%s: a run that uses it was held: %v", cache, err)
		}
	}
	ok(t, ws.RemoveCache(t.Context(), "c", nil))
	held.Release()
	lock, err := ws.HoldCache(t.Context(), "a", "exec", nil)
	ok(t, err)
	if err := ws.RemoveCache(t.Context(), "a", nil); !errors.As(err, &busy) {
		t.Errorf("it was held: %v", err)
	}
	lock.Release()
	ok(t, ws.RemoveCache(t.Context(), "a", nil))
	if err := ws.RemoveCache(t.Context(), "a", nil); !errors.Is(err, ErrNoCache) {
		t.Error(err)
	}
	if caches, err := ws.Caches(); err != nil || len(caches) != 1 || caches[0] != "b" {
		t.Errorf("%v, %v", caches, err)
	}
	if err := ws.RemoveCache(t.Context(), "..", nil); err == nil {
		t.Error("removed ..")
	}
}
