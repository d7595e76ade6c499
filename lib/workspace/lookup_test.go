package workspace

import (
	"fmt"
	"os"
	"slices"
	"testing"
)

func find(t *testing.T, ws *Workspace, fingerprint string) string {
	t.Helper()
	id, err := ws.Lookup(t.Context(), fingerprint, func(err error) { t.Error(err) })
	ok(t, err)
	return id
}

// Lookups find the same run whether there is an index from the beginning, it is made later,
// or it cannot be made.
func TestLookup(t *testing.T) {
	for when, made := range map[string]int{"first": 0, "in between": 5, "last": 10, "never": 99} {
		t.Run(when, func(t *testing.T) {
			ws, _ := newWorkspace(t)
			if when == "never" {
				noIndex(t, ws)
			}
			if got := find(t, ws, "a"); got != "" {
				t.Errorf("an empty workspace has %q", got)
			}
			for i := range 10 {
				if i == made {
					index(t, ws)
				}
				commit(t, ws, Meta{RunID: fmt.Sprintf("%02d", i), Fingerprint: fmt.Sprint(i % 4)})
			}
			failed := Meta{RunID: "98", Fingerprint: "1", Status: Failure}
			_, err := ws.Commit(t.Context(), stage(t, ws, failed), &failed)
			ok(t, err)
			commit(t, ws, Meta{RunID: "99"})
			for fingerprint, want := range map[string]string{"1": "09", "2": "06", "9": "", "": "", "../../runs": ""} {
				if got := find(t, ws, fingerprint); got != want {
					t.Errorf("%q: got %q, want %q", fingerprint, got, want)
				}
			}

			// The run is removed, and another one gets its id.
			ok(t, os.RemoveAll(ws.path(runsDir, "09")))
			if got := find(t, ws, "1"); got != "05" {
				t.Errorf("got %q, want the latest that is left", got)
			}
			commit(t, ws, Meta{RunID: "09", Fingerprint: "other"})
			if got := find(t, ws, "other"); got != "09" {
				t.Errorf("got %q, want the new run of an old id", got)
			}
			if got := find(t, ws, "1"); got != "05" {
				t.Errorf("got %q", got)
			}
		})
	}
}

// index makes an index, also of a few runs.
func index(t *testing.T, ws *Workspace) {
	t.Helper()
	ok(t, ws.ensure(indexDir))
	ok(t, ws.index())
}

// noIndex makes the workspace one that cannot have an index.
func noIndex(t *testing.T, ws *Workspace) {
	t.Helper()
	ok(t, os.RemoveAll(ws.path(indexDir)))
	ok(t, os.WriteFile(ws.path(indexDir), nil, 0o666))
}

func TestPruneForgetsFingerprints(t *testing.T) {
	ws, _ := newWorkspace(t)
	index(t, ws)
	commit(t, ws, Meta{RunID: "a", Fingerprint: "1"})
	commit(t, ws, Meta{RunID: "b", Fingerprint: "1"})
	commit(t, ws, Meta{RunID: "c", Fingerprint: "2"})
	prune(t, ws, PruneOptions{Keep: []string{"a"}})
	if left := names(t, ws, byFingerprint); !slices.Equal(left, []string{"1"}) {
		t.Errorf("left: %v", left)
	}
	if got := find(t, ws, "1"); got != "a" {
		t.Errorf("got %q", got)
	}
}

func BenchmarkLookup(b *testing.B) {
	ws, err := Create(b.TempDir(), "ws")
	if err != nil {
		b.Fatal(err)
	}
	for i := range 3000 {
		dir := ws.path(runsDir, fmt.Sprintf("%04d", i))
		if err := os.Mkdir(dir, 0o777); err != nil {
			b.Fatal(err)
		}
		text := fmt.Sprintf(`{"status": "success", "fingerprint": "%064d", "env": {"A": "%01000d"}}`, i, 0)
		if err := os.WriteFile(dir+"/meta.json", []byte(text), 0o666); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if id, err := ws.Lookup(b.Context(), fmt.Sprintf("%064d", 7), func(err error) { b.Error(err) }); id != "0007" || err != nil {
			b.Fatal(id, err)
		}
	}
}
