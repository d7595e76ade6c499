package workspace

import (
	"fmt"
	"os"
	"testing"
)

func find(t *testing.T, ws *Workspace, fingerprint string) string {
	t.Helper()
	id, err := ws.Lookup(fingerprint)
	ok(t, err)
	return id
}

func TestLookup(t *testing.T) {
	ws, _ := newWorkspace(t)
	if got := find(t, ws, "a"); got != "" {
		t.Errorf("an empty workspace has %q", got)
	}
	for i := range 2 * indexSlack {
		commit(t, ws, Meta{RunID: fmt.Sprintf("%02d", i), Fingerprint: fmt.Sprint(i % 4)})
	}
	failed := Meta{RunID: "98", Fingerprint: "1", Status: Failure}
	_, err := ws.Commit(t.Context(), stage(t, ws, failed), &failed)
	ok(t, err)
	commit(t, ws, Meta{RunID: "99"})

	// The second time most is known; the third time the index is damaged.
	for range 2 {
		if got := find(t, ws, "1"); got != "29" {
			t.Errorf("got %q, want the latest successful run", got)
		}
		if got := find(t, ws, "9"); got != "" {
			t.Errorf("nobody has 9, got %q", got)
		}
		if got := find(t, ws, ""); got != "" {
			t.Errorf("a run without a fingerprint was found: %q", got)
		}
	}
	data, err := os.ReadFile(ws.indexPath())
	ok(t, err)
	data[len(data)/2] ^= 1
	ok(t, os.WriteFile(ws.indexPath(), data, 0o666))
	if got := find(t, ws, "1"); got != "29" {
		t.Errorf("with a damaged index: got %q", got)
	}

	// A run that is gone, and another that has its id since.
	ok(t, os.RemoveAll(ws.path(runsDir, "29")))
	if got := find(t, ws, "1"); got != "25" {
		t.Errorf("got %q, want the latest that is left", got)
	}
	commit(t, ws, Meta{RunID: "29", Fingerprint: "other"})
	if got := find(t, ws, "other"); got != "29" {
		t.Errorf("got %q, want the new run of an old id", got)
	}
	if got := find(t, ws, "1"); got != "25" {
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
		if id, err := ws.Lookup(fmt.Sprintf("%064d", 7)); id != "0007" || err != nil {
			b.Fatal(id, err)
		}
	}
}
