package workspace

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// indexed returns the ids of the runs that have entries in a part of the index.
func indexed(t *testing.T, ws *Workspace, part string) (ids []string) {
	t.Helper()
	ws.walkIndex(part, "", func(entry string, err error) bool {
		ok(t, err)
		ids = append(ids, idOf(entry))
		return true
	})
	slices.Sort(ids)
	return ids
}

// allOf returns the ids of all runs of a step, the newest first.
func allOf(t *testing.T, ws *Workspace, step string) (ids []string) {
	t.Helper()
	for r, err := range ws.runsOf(step, nil) {
		ok(t, err)
		ids = append(ids, r.ID)
	}
	return ids
}

func wantIDs(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// foreign makes a committed run as another tool does.
func foreign(t *testing.T, ws *Workspace, id, meta string) {
	t.Helper()
	ok(t, os.MkdirAll(ws.path(runsDir, id), 0o777))
	ok(t, os.WriteFile(ws.path(runsDir, id, "meta.json"), []byte(meta), 0o666))
}

// Runs of years, days and of one millisecond, and with ids of the caller's own, are in the
// order of their times.
func TestRunsOfAreInOrder(t *testing.T) {
	ws, _ := newWorkspace(t)
	index(t, ws)
	var want []string
	for _, at := range []int64{3, 1_500_000_000_000, 1_500_000_000_001, 1_500_000_100_000, 1_502_000_000_000, 1_700_000_000_000, 1_700_000_000_001} {
		for i := range 2 {
			m := of("a", fmt.Sprintf("%013d-aaaaaaa%d", at, i))
			own := of("a", fmt.Sprintf("own%d%d", 9-i, at))
			m.PreparedAt = Time{time.UnixMilli(7)} // does not count
			own.PreparedAt = Time{time.UnixMilli(at)}
			if at > 1_700_000_000_000 {
				stage(t, ws, m)
			} else {
				commit(t, ws, m)
			}
			commit(t, ws, own)
			want = append(want, m.RunID, own.RunID)
		}
		slices.Sort(want[len(want)-4:])
	}
	commit(t, ws, of("b", "1600000000000-aaaaaaaa"))
	slices.Reverse(want)
	wantIDs(t, allOf(t, ws, "a"), want...)
	for i, id := range want {
		r, err := ws.Run(id)
		ok(t, err)
		if r, err := ws.before(r, 1); i+1 < len(want) && (err != nil || r.ID != want[i+1]) {
			t.Errorf("before %s: %v, %v", id, r, err)
		}
	}
	noIndex(t, ws)
	wantIDs(t, allOf(t, ws, "a"), want...)
}

// What another tool adds, changes and removes is found by the next look.
func TestIndexHeals(t *testing.T) {
	ws, _ := newWorkspace(t)
	index(t, ws)
	const ours, theirs, unreadable = "1700000000000-aaaaaaaa", "1700000000001-bbbbbbbb", "1700000000002-cccccccc"
	m := of("a", ours)
	m.Fingerprint = "f"
	commit(t, ws, m)
	wantIDs(t, allOf(t, ws, "a"), ours)
	foreign(t, ws, theirs, `{"stepId": "a", "env": {"A": 1}}`)
	foreign(t, ws, unreadable, `{"stepId": "a"`)
	wantIDs(t, allOf(t, ws, "a"), theirs, ours)
	check(t, ws.Resolve, "change", "1700000000002", unreadable)

	// A run is another one than when it had its entries.
	foreign(t, ws, "own", `{"stepId": "b"}`)
	wantIDs(t, allOf(t, ws, "b"), "own")
	ok(t, os.RemoveAll(ws.path(runsDir, "own")))
	ok(t, os.RemoveAll(ws.path(runsDir, ours)))
	foreign(t, ws, "own", `{"stepId": "c"}`)
	wantIDs(t, allOf(t, ws, "b"))
	check(t, ws.Resolve, "change", "1700000000000", "")
	if id := find(t, ws, "f"); id != "" {
		t.Errorf("found %s, which is gone", id)
	}

	// All of it may go.
	ok(t, os.RemoveAll(ws.path(indexDir)))
	wantIDs(t, allOf(t, ws, "c"), "own")
	index(t, ws)
	wantIDs(t, allOf(t, ws, "c"), "own")
	wantIDs(t, allOf(t, ws, "a"), theirs)

	// Prune removes what has no run.
	ok(t, os.RemoveAll(ws.path(runsDir, theirs)))
	prune(t, ws, PruneOptions{})
	wantIDs(t, names(t, ws, byID))
	wantIDs(t, names(t, ws, byStep))
	wantIDs(t, indexed(t, ws, byFingerprint))
}

// Commit and prune keep the index complete: no look has to list all runs.
func TestIndexStaysComplete(t *testing.T) {
	ws, _ := newWorkspace(t)
	index(t, ws)
	wantIDs(t, allOf(t, ws, "a"))
	complete := func() {
		t.Helper()
		if _, is := ws.complete(); !is {
			t.Error("the index is not complete")
		}
	}
	complete()
	const first, second, third = "1700000000001-aaaaaaaa", "1700000000002-aaaaaaaa", "1700000000003-bbbbbbbb"
	for _, id := range []string{first, second, third} {
		commit(t, ws, of("a", id))
		complete()
	}
	stage(t, ws, of("a", "open"))
	prune(t, ws, PruneOptions{Keep: []string{second}})
	complete()
	wantIDs(t, allOf(t, ws, "a"), "open", second)
	wantIDs(t, indexed(t, ws, byID), second)
	wantIDs(t, indexed(t, ws, byStep), second)
}

// A prune that is killed between a run and its entries leaves them to the next prune, also if
// somebody has looked for runs in between.
func TestIndexAfterKilledPrune(t *testing.T) {
	ws, _ := newWorkspace(t)
	index(t, ws)
	commit(t, ws, of("a", "gone"))
	wantIDs(t, allOf(t, ws, "a"), "gone")
	ws.pruning()
	ok(t, os.RemoveAll(ws.path(runsDir, "gone")))
	wantIDs(t, allOf(t, ws, "a"))
	wantIDs(t, indexed(t, ws, byStep), "gone")
	prune(t, ws, PruneOptions{})
	wantIDs(t, indexed(t, ws, byStep))
	prune(t, ws, PruneOptions{})
	if _, err := os.Lstat(ws.path(unsweptFile)); err == nil {
		t.Error("the prune goes on for ever")
	}
}

// A commit that is killed between the entries and the rename leaves them to the next prune, also
// if somebody has looked for runs in between.
func TestIndexAfterKilledCommit(t *testing.T) {
	ws, _ := newWorkspace(t)
	index(t, ws)
	commit(t, ws, of("a", "kept"))
	gone := of("a", "gone")
	ok(t, ws.announce(Run{ID: "gone"}.keys(&gone)))
	wantIDs(t, allOf(t, ws, "a"), "kept")
	wantIDs(t, indexed(t, ws, byStep), "gone", "kept")
	prune(t, ws, PruneOptions{Keep: []string{"kept"}})
	wantIDs(t, indexed(t, ws, byStep), "kept")
}

// A process that is stopped while it holds the index keeps nobody from committing and finding.
func TestIndexHeld(t *testing.T) {
	ws, _ := newWorkspace(t)
	index(t, ws)
	commit(t, ws, of("a", "first"))
	wantIDs(t, allOf(t, ws, "a"), "first")
	held, err := ws.wait(context.Background(), unix.F_WRLCK, indexByte)
	ok(t, err)
	commit(t, ws, of("a", "second"))
	held.Release()
	wantIDs(t, indexed(t, ws, byStep), "first")
	wantIDs(t, allOf(t, ws, "a"), "second", "first")
}

// Many commits at once leave a complete index.
func TestIndexOfConcurrentCommits(t *testing.T) {
	ws, _ := newWorkspace(t)
	index(t, ws)
	wantIDs(t, allOf(t, ws, "a"))
	done := make(chan error)
	var want []string
	for i := range 32 {
		m := of("a", fmt.Sprintf("17000000000%02d-aaaaaaaa", i))
		want = append(want, m.RunID)
		r := stage(t, ws, m)
		go func() {
			m.Status = Success
			_, err := ws.Commit(context.Background(), r, &m)
			done <- err
		}()
	}
	for range want {
		ok(t, <-done)
	}
	wantIDs(t, indexed(t, ws, byID), want...)
	slices.Reverse(want)
	wantIDs(t, allOf(t, ws, "a"), want...)
}

// Of many runs that a prefix means, an error names some.
func TestManyOfOnePrefix(t *testing.T) {
	ws, _ := newWorkspace(t)
	index(t, ws)
	for i := range 9 {
		foreign(t, ws, fmt.Sprintf("1700%09d-aaaaaaaa", i*1_000_000), `{}`)
	}
	_, err := ws.Resolve("1700")
	if err == nil || strings.Count(err.Error(), "-aaaaaaaa") != maxNamed || !strings.HasSuffix(err.Error(), ", and more") {
		t.Error(err)
	}
	for ref, want := range map[string]string{
		"1700008": "1700008000000-aaaaaaaa", "170000800": "1700008000000-aaaaaaaa", "1700000000000-aaaaaaa": "1700000000000-aaaaaaaa", "17001": "", "1700000000000-b": "",
	} {
		check(t, ws.Resolve, "change", ref, want)
	}
	for _, id := range []string{"a", "abcd", "abcde", "abcd-e", "xyz-1234567", "xyz-12345678"} {
		foreign(t, ws, id, `{}`)
	}
	for ref, want := range map[string]string{"abcd": "abcd", "abcd-": "abcd-e", "xyz-12345678": "xyz-12345678", "xyz-12345": "several", "xyz-1234568": ""} {
		if want == "several" {
			if _, err := ws.Resolve(ref); err == nil || !strings.Contains(err.Error(), "xyz-1234567, xyz-12345678") {
				t.Error(err)
			}
			continue
		}
		check(t, ws.Resolve, "change", ref, want)
	}
}

// Looks leave a small workspace as it is, and index a large one.
func TestIndexOfManyOnly(t *testing.T) {
	ws, _ := newWorkspace(t)
	for i := range worthIndexing {
		wantIDs(t, allOf(t, ws, "b"))
		if _, err := os.Lstat(ws.path(indexDir)); err == nil {
			t.Fatalf("%d runs are indexed", i)
		}
		foreign(t, ws, fmt.Sprint("own", i), `{"stepId": "a"}`)
	}
	wantIDs(t, allOf(t, ws, "b"))
	if all := indexed(t, ws, byStep); len(all) != worthIndexing {
		t.Errorf("indexed: %q", all)
	}
}
