package reap

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/endpoint"
	"pipex/lib/name"
	"pipex/lib/run"
	"pipex/lib/workspace"
)

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// place is a new workspace, without a containerd. What it is warned of is in warnings.
func place(t *testing.T) (p run.Place, ws *workspace.Workspace, warnings *[]string) {
	t.Helper()
	dir := t.TempDir()
	warnings = new([]string)
	p = run.Place{
		Workdir: filepath.Join(dir, "workdir"), Workspace: "ws", Containerd: endpoint.Containerd{Address: filepath.Join(dir, "none.sock")},
		Warn: func(err error) { *warnings = append(*warnings, err.Error()) },
	}
	ws, err := workspace.Create(p.Workdir, p.Workspace)
	ok(t, err)
	return p, ws, warnings
}

// open makes an open run, with a container half on paper if it is to have one.
func open(t *testing.T, ws *workspace.Workspace, id string, container bool) workspace.Run {
	t.Helper()
	shared, err := ws.Shared(t.Context())
	ok(t, err)
	m := &workspace.Meta{RunID: id, Status: workspace.Prepared, PreparedAt: workspace.Now()}
	if container {
		m.Container = &workspace.Container{ID: id, Namespace: "ns", Snapshotter: "overlayfs"}
	}
	r, err := ws.Stage(m, shared, nil)
	ok(t, err)
	return r
}

// committed makes a committed run.
func committed(t *testing.T, p run.Place, ws *workspace.Workspace, id string) {
	t.Helper()
	open(t, ws, id, false)
	_, _, err := run.Commit(t.Context(), p, id, run.CommitOptions{})
	ok(t, err)
}

// age makes a run as old as that.
func age(t *testing.T, ws *workspace.Workspace, id string, by time.Duration) {
	t.Helper()
	r, err := ws.Run(id)
	ok(t, err)
	then := time.Now().Add(-by)
	ok(t, os.Chtimes(r.Dir, then, then))
}

// there tells whether a run is.
func there(ws *workspace.Workspace, id string) bool {
	_, err := ws.Run(id)
	return err == nil
}

// A run without a container half is discarded without a containerd; one that is gone is
// success.
func TestDiscard(t *testing.T) {
	p, ws, warnings := place(t)
	open(t, ws, "r", false)
	for range 2 {
		ok(t, Discard(t.Context(), p, "r"))
	}
	if there(ws, "r") || len(*warnings) > 0 {
		t.Errorf("it is there: %v; %q", there(ws, "r"), *warnings)
	}
	if left, err := os.ReadDir(filepath.Join(ws.Root, ".pipex", "tmp")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// What cannot be discarded stays, whole and free, and the error tells why.
func TestDiscardRefuses(t *testing.T) {
	p, ws, _ := place(t)
	r := open(t, ws, "r", true)
	m, err := r.Meta()
	ok(t, err)
	m.Execs = []workspace.Exec{{StartedAt: workspace.Now()}} // it may be running
	ok(t, ws.WriteMeta(r, m))
	if err := Discard(t.Context(), p, "r"); !errors.Is(err, containerd.ErrUnreachable) || !strings.Contains(err.Error(), `"r"`) || strings.Contains(err.Error(), "\n") {
		t.Errorf("its container half is out of reach: %v", err)
	}
	if r, err := ws.Run("r"); err != nil {
		t.Error(err)
	} else if _, err := r.Meta(); err != nil {
		t.Error(err)
	}
	lock, err := ws.HoldRun("r", "exec")
	ok(t, err)
	var busy *workspace.BusyError
	if err := Discard(t.Context(), p, "r"); !errors.As(err, &busy) {
		t.Errorf("a process holds it: %v", err)
	}
	lock.Release()

	committed(t, p, ws, "c")
	if err := Discard(t.Context(), p, "c"); !errors.Is(err, workspace.ErrCommitted) || !there(ws, "c") {
		t.Errorf("a committed run: %v", err)
	}
	var wrong *name.Error
	for _, id := range []string{"", ".", "../ws/runs/c", "a\x00"} {
		if err := Discard(t.Context(), p, id); !errors.As(err, &wrong) {
			t.Errorf("%q: %v", id, err)
		}
	}
	p.Workspace = "none"
	if err := Discard(t.Context(), p, "r"); !errors.Is(err, workspace.ErrNoWorkspace) {
		t.Errorf("no workspace: %v", err)
	}
}

// A run that is not running can be discarded without a containerd: the note of what it owns there
// stays until prune can work it off.
func TestDiscardLeavesANote(t *testing.T) {
	p, ws, warnings := place(t)
	open(t, ws, "r", true)
	ok(t, Discard(t.Context(), p, "r"))
	notes, err := ws.Notes()
	if err != nil || len(notes) != 1 || notes[0].Run != "r" || notes[0].Task || there(ws, "r") || len(*warnings) != 1 {
		t.Errorf("%v, %v, %q", notes, err, *warnings)
	}
}

// A run whose record is damaged can be discarded; what it may own is found by its labels
// later, and the caller is told.
func TestDiscardWithADamagedRecord(t *testing.T) {
	p, ws, warnings := place(t)
	r := open(t, ws, "r", true)
	ok(t, os.Truncate(filepath.Join(r.Dir, "meta.json"), 5))
	ok(t, Discard(t.Context(), p, "r"))
	if there(ws, "r") || len(*warnings) != 1 || !strings.Contains((*warnings)[0], "meta.json") {
		t.Errorf("it is there: %v; %q", there(ws, "r"), *warnings)
	}
}

// pruned prunes and returns which runs that has told of.
func pruned(t *testing.T, p run.Place, opt PruneOptions) (gone []string, kept Kept) {
	t.Helper()
	kept, err := Prune(t.Context(), p, opt, func(id string) { gone = append(gone, id) })
	ok(t, err)
	return gone, kept
}

// The zero options keep what is younger than an hour, and count it; Now keeps nothing for
// its age.
func TestAgeDecides(t *testing.T) {
	p, ws, warnings := place(t)
	for _, id := range []string{"new", "hour", "old"} {
		committed(t, p, ws, id)
		open(t, ws, "open-"+id, false)
	}
	for id, by := range map[string]time.Duration{"hour": 59 * time.Minute, "old": 61 * time.Minute} {
		age(t, ws, id, by)
		age(t, ws, "open-"+id, by)
	}
	if gone, kept := pruned(t, p, PruneOptions{}); !slices.Equal(gone, []string{"old"}) || kept != (Kept{Runs: 2, Age: time.Hour}) {
		t.Errorf("%q, %+v", gone, kept)
	}
	if len(*warnings) != 1 || !strings.Contains((*warnings)[0], "containerd") {
		t.Errorf("%q", *warnings)
	}
	if gone, kept := pruned(t, p, PruneOptions{Staging: true}); !slices.Equal(gone, []string{"open-old"}) || kept != (Kept{Runs: 2, Open: 2, Age: time.Hour}) {
		t.Errorf("%q, %+v", gone, kept)
	}
	if gone, kept := pruned(t, p, PruneOptions{OlderThan: 30 * time.Minute, Staging: true}); !slices.Equal(gone, []string{"open-hour", "hour"}) || kept != (Kept{Runs: 1, Open: 1, Age: 30 * time.Minute}) {
		t.Errorf("%q, %+v", gone, kept)
	}
	if gone, kept := pruned(t, p, PruneOptions{OlderThan: Now, Staging: true}); !slices.Equal(gone, []string{"open-new", "new"}) || kept != (Kept{Age: Now}) {
		t.Errorf("%q, %+v", gone, kept)
	}
}

// A dry run tells what would go, and removes nothing.
func TestPruneDry(t *testing.T) {
	p, ws, _ := place(t)
	committed(t, p, ws, "c")
	open(t, ws, "o", false)
	opt := PruneOptions{OlderThan: Now, Staging: true, DryRun: true}
	for range 2 {
		if gone, _ := pruned(t, p, opt); !slices.Equal(gone, []string{"o", "c"}) {
			t.Errorf("%q", gone)
		}
	}
	opt.DryRun = false
	if gone, _ := pruned(t, p, opt); !slices.Equal(gone, []string{"o", "c"}) || there(ws, "o") || there(ws, "c") {
		t.Errorf("%q", gone)
	}
}

// What somebody needs is kept, however old it is: a run that a process holds, a linked one,
// one that is named, and an open one whose task may be running where no containerd says.
func TestPruneKeepsWhatIsNeeded(t *testing.T) {
	p, ws, warnings := place(t)
	for _, id := range []string{"linked", "named", "held", "other", "spare"} {
		committed(t, p, ws, id)
	}
	ok(t, ws.Link(t.Context(), "s", "linked"))
	open(t, ws, "running", true)
	open(t, ws, "open-held", false)
	for _, id := range []string{"held", "open-held"} {
		lock, err := ws.HoldRun(id, "exec")
		ok(t, err)
		defer lock.Release()
	}
	for _, dry := range []bool{true, false} {
		*warnings = nil
		gone, _ := pruned(t, p, PruneOptions{OlderThan: Now, Staging: true, Keep: []string{"named", "nobody"}, DryRun: dry})
		if !slices.Equal(gone, []string{"other", "spare"}) {
			t.Errorf("dry %v: %q", dry, gone)
		}
		if !slices.ContainsFunc(*warnings, func(w string) bool { return strings.Contains(w, `"open-held"`) }) {
			t.Errorf("dry %v: nobody was told of the run that is passed over: %q", dry, *warnings)
		}
	}
}

// A run whose record is damaged is no reason to keep it in staging, nor one to remove what
// it may need.
func TestPruneWithADamagedRecord(t *testing.T) {
	p, ws, _ := place(t)
	committed(t, p, ws, "c")
	r := open(t, ws, "o", false)
	ok(t, os.Truncate(filepath.Join(r.Dir, "meta.json"), 5))
	if _, err := Prune(t.Context(), p, PruneOptions{OlderThan: Now}, func(string) {}); err == nil || !there(ws, "c") || !strings.Contains(err.Error(), `"o"`) {
		t.Errorf("%v; the run that it may need is there: %v", err, there(ws, "c"))
	}
	if gone, _ := pruned(t, p, PruneOptions{OlderThan: Now, Staging: true}); !slices.Equal(gone, []string{"o", "c"}) {
		t.Errorf("%q", gone)
	}
}

func TestPruneRefuses(t *testing.T) {
	p, ws, _ := place(t)
	committed(t, p, ws, "c")
	var wrong *name.Error
	if _, err := Prune(t.Context(), p, PruneOptions{OlderThan: Now, Keep: []string{"../c"}}, func(string) {}); !errors.As(err, &wrong) || !there(ws, "c") {
		t.Errorf("%v", err)
	}
	p.Workspace = "none"
	if _, err := Prune(t.Context(), p, PruneOptions{}, func(string) {}); !errors.Is(err, workspace.ErrNoWorkspace) {
		t.Errorf("%v", err)
	}
}

// What is in containerd cannot be told without one, and a note stays until it can be.
func TestNotesNeedContainerd(t *testing.T) {
	p, ws, _ := place(t)
	if err := Work(t.Context(), p); err != nil {
		t.Errorf("of no note: %v", err)
	}
	open(t, ws, "c", true)
	ok(t, run.HandOver(p, ws, "c", &workspace.Container{ID: "c", Namespace: "ns", Snapshotter: "overlayfs"}, true))
	for what, err := range map[string]error{"all": Work(t.Context(), p), "one": WorkOn(t.Context(), p, "c"), "end": End(t.Context(), p, "c")} {
		if !errors.Is(err, containerd.ErrUnreachable) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if notes, err := ws.HasNotes("c"); err != nil || !notes {
		t.Errorf("the note is gone: %v", err)
	}
	if owned, err := Owned(t.Context(), p); !errors.Is(err, containerd.ErrUnreachable) || owned != nil {
		t.Errorf("%v, %v", owned, err)
	}
	if !there(ws, "c") {
		t.Error("the run is gone")
	}
}

// A note that says that all of a run is to go does nothing to a run that was prepared again,
// and one that is damaged or incomplete is dropped.
func TestNoteOfAnOpenRun(t *testing.T) {
	p, ws, _ := place(t)
	open(t, ws, "c", true)
	ok(t, run.HandOver(p, ws, "c", &workspace.Container{ID: "c", Namespace: "ns", Snapshotter: "overlayfs"}, false))
	ok(t, run.HandOver(p, ws, "d", &workspace.Container{ID: "d", Namespace: "ns", Snapshotter: "overlayfs"}, false))
	ok(t, os.WriteFile(filepath.Join(ws.Root, ".pipex/reap/d.all"), []byte("{"), 0o600))
	ok(t, os.WriteFile(filepath.Join(ws.Root, ".pipex/reap/e.all"), []byte("{}"), 0o600))
	ok(t, unix.Mkfifo(filepath.Join(ws.Root, ".pipex/reap/f.all"), 0o600))
	ok(t, os.Symlink("nowhere", filepath.Join(ws.Root, ".pipex/reap/g.all")))
	if err := Work(t.Context(), p); err != nil {
		t.Error(err)
	}
	if notes, err := ws.Notes(); err != nil || len(notes) > 0 || !there(ws, "c") {
		t.Errorf("%v, %v", notes, err)
	}
}

// A reaper ends when it has nothing to do, tries a note that fails once, and creates nothing
// in a workspace that is being removed.
func TestServeEnds(t *testing.T) {
	p, ws, _ := place(t)
	ok(t, Serve(t.Context(), p, time.Millisecond))
	open(t, ws, "c", true)
	ok(t, run.HandOver(p, ws, "c", &workspace.Container{ID: "c", Namespace: "ns", Snapshotter: "overlayfs"}, true))
	ok(t, Serve(t.Context(), p, time.Millisecond))
	if run.Ring(ws) {
		t.Error("somebody listens")
	}
	done := make(chan error)
	go func() { done <- Serve(context.Background(), p, time.Second/2) }()
	for !run.Ring(ws) {
		time.Sleep(time.Millisecond)
	}
	ok(t, Serve(t.Context(), p, time.Hour)) // there is one already
	ok(t, os.RemoveAll(filepath.Join(ws.Root, ".pipex")))
	run.Ring(ws)
	ok(t, <-done)
	if left, err := os.ReadDir(filepath.Join(ws.Root, ".pipex")); err == nil {
		t.Errorf("created: %v", left)
	}
}

// A reaper ends although a note cannot be worked off because the file of the locks is missing.
func TestServeEndsWithoutLocks(t *testing.T) {
	p, ws, _ := place(t)
	ok(t, run.HandOver(p, ws, "c", &workspace.Container{ID: "c", Namespace: "ns", Snapshotter: "overlayfs"}, true))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ok(t, Serve(ctx, p, time.Millisecond))
	if ctx.Err() != nil {
		t.Error("it goes on")
	}
}

// Prune says why notes are left, also if another note's containerd is not there.
func TestPruneSaysWhatIsLeft(t *testing.T) {
	p, ws, warnings := place(t)
	open(t, ws, "r", false) // makes the file of the locks
	ok(t, run.HandOver(p, ws, "gone", &workspace.Container{ID: "gone", Namespace: "ns", Snapshotter: "overlayfs"}, false))
	ok(t, os.MkdirAll(filepath.Join(ws.Root, ".pipex/reap/odd.all/x"), 0o700))
	pruned(t, p, PruneOptions{})
	if !slices.ContainsFunc(*warnings, func(w string) bool { return strings.Contains(w, "odd.all") }) {
		t.Errorf("%q", *warnings)
	}
}
