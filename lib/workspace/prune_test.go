package workspace

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pipex/lib/step"
)

func prune(t *testing.T, ws *Workspace, opt PruneOptions) []string {
	t.Helper()
	gone := []string{}
	_, err := ws.Prune(context.Background(), opt, func(id string) { gone = append(gone, id) })
	ok(t, err)
	return gone
}

func ago(d time.Duration) *Time { return &Time{time.Now().Add(-d)} }

func TestPruneKeepsWhatIsReferredTo(t *testing.T) {
	ws, _ := newWorkspace(t)
	for _, id := range []string{"linked", "kept", "input", "instate", "drafted", "held", "spare"} {
		commit(t, ws, Meta{RunID: id})
	}
	ok(t, ws.Link(context.Background(), "step", "linked"))
	ok(t, os.WriteFile(ws.path("state.json"), []byte(`{"steps":{"step":{"runId":"linked"},"gone":{"runId":"instate"}}}`), 0o644))
	stage(t, ws, Meta{RunID: "open", Pinned: step.Pinned{Inputs: []step.PinnedInput{{Step: "step", RunID: "input"}}}})
	draft := stage(t, ws, Meta{RunID: "draft", Pinned: step.Pinned{Inputs: []step.PinnedInput{{Step: "step", RunID: "drafted"}}}})
	ok(t, os.Rename(draft.Dir, ws.draft("draft").Dir))
	making, err := ws.HoldRun("draft", "prepare")
	ok(t, err)
	held, err := ws.HoldRun("held", "commit")
	ok(t, err)
	if gone := prune(t, ws, PruneOptions{Keep: []string{"kept"}, DryRun: true}); !slices.Equal(gone, []string{"spare"}) {
		t.Errorf("would remove %v", gone)
	}
	if _, err := ws.Run("spare"); err != nil {
		t.Errorf("a dry run removed it: %v", err)
	}
	if gone := prune(t, ws, PruneOptions{Keep: []string{"kept"}}); !slices.Equal(gone, []string{"spare"}) {
		t.Errorf("removed %v", gone)
	}
	held.Release()
	making.Release()
	if gone := prune(t, ws, PruneOptions{}); !slices.Equal(gone, []string{"drafted", "held", "kept"}) && !slices.Equal(gone, []string{"held", "kept"}) {
		t.Errorf("removed %v", gone)
	}
	if got := names(t, ws, private, "new"); len(got) > 0 {
		t.Errorf("a draft left by a crash stays: %v", got)
	}
	if got := names(t, ws, private, "tmp"); len(got) > 0 {
		t.Errorf("trash stays: %v", got)
	}
}

func TestPruneByAgeAndNumber(t *testing.T) {
	ws, _ := newWorkspace(t)
	for id, m := range map[string]Meta{
		"a1": {Pinned: step.Pinned{StepID: "a"}, FinishedAt: ago(4 * time.Hour)}, "a2": {Pinned: step.Pinned{StepID: "a"}, FinishedAt: ago(3 * time.Hour)},
		"a3": {Pinned: step.Pinned{StepID: "a"}, FinishedAt: ago(time.Minute)}, "b1": {Pinned: step.Pinned{StepID: "b"}, FinishedAt: ago(5 * time.Hour)},
	} {
		m.RunID = id
		run := commit(t, ws, m)
		ok(t, os.Chtimes(run.Dir, m.FinishedAt.Time, m.FinishedAt.Time))
	}
	for _, c := range []struct {
		opt  PruneOptions
		want []string
	}{
		{PruneOptions{KeepLast: 1}, []string{"a1", "a2"}},
		{PruneOptions{KeepLast: 2}, []string{"a1"}},
		{PruneOptions{OlderThan: time.Hour}, []string{"a1", "a2", "b1"}},
		{PruneOptions{OlderThan: 210 * time.Minute, KeepLast: 1}, []string{"a1"}},
		{PruneOptions{}, []string{"a1", "a2", "a3", "b1"}},
	} {
		c.opt.DryRun = true
		if gone := prune(t, ws, c.opt); !slices.Equal(gone, c.want) {
			t.Errorf("%+v: %v, want %v", c.opt, gone, c.want)
		}
	}
}

// A run whose record cannot be read has unknown inputs: nothing is removed.
func TestPruneStopsAtOpenRunWithoutRecord(t *testing.T) {
	ws, _ := newWorkspace(t)
	commit(t, ws, Meta{RunID: "spare"})
	open := stage(t, ws, Meta{RunID: "open"})
	ok(t, os.Remove(filepath.Join(open.Dir, "meta.json")))
	_, err := ws.Prune(context.Background(), PruneOptions{}, func(id string) { t.Errorf("removed %s", id) })
	if err == nil {
		t.Error("no error")
	}
	ok(t, ws.Discard(open))
	if gone := prune(t, ws, PruneOptions{}); !slices.Equal(gone, []string{"spare"}) {
		t.Errorf("removed %v", gone)
	}
}

// Pruning a run removes its symbolic links, and never what they point to.
func TestPruneFollowsNothing(t *testing.T) {
	ws, _ := newWorkspace(t)
	outside := t.TempDir()
	ok(t, os.WriteFile(filepath.Join(outside, "f"), nil, 0o600))
	m := Meta{RunID: "run", Status: Success}
	run := stage(t, ws, m)
	deep := run.Artifacts()
	for range 100 {
		deep = filepath.Join(deep, "d")
	}
	ok(t, os.MkdirAll(deep, 0o755))
	ok(t, os.Symlink(outside, filepath.Join(deep, "out")))
	ok(t, os.Symlink("/", filepath.Join(run.Artifacts(), "root")))
	ok(t, os.WriteFile(filepath.Join(run.Artifacts(), "new\nline\xff"), nil, 0o600))
	_, err := ws.Commit(context.Background(), run, &m)
	ok(t, err)
	if gone := prune(t, ws, PruneOptions{}); !slices.Equal(gone, []string{"run"}) {
		t.Errorf("removed %v", gone)
	}
	if _, err := os.Stat(filepath.Join(outside, "f")); err != nil {
		t.Error(err)
	}
}

// After a crash between the link and state.json they agree again.
func TestPruneMendsState(t *testing.T) {
	ws, _ := newWorkspace(t)
	commit(t, ws, Meta{RunID: "old"})
	commit(t, ws, Meta{RunID: "new"})
	ok(t, ws.Link(context.Background(), "step", "old"))
	link, err := ws.draftLink(ws.path(linksDir, "step"), "../runs/new")
	ok(t, err)
	ok(t, link.publish())
	if gone := prune(t, ws, PruneOptions{}); len(gone) > 0 {
		t.Errorf("removed %v, while state.json still names it", gone)
	}
	agree(t, ws)
	if gone := prune(t, ws, PruneOptions{}); !slices.Equal(gone, []string{"old"}) {
		t.Errorf("removed %v", gone)
	}
}
