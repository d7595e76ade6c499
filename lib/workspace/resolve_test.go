package workspace

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"pipex/lib/name"
	"pipex/lib/step"
)

// of is the record of a run of a step.
func of(stepID, id string) Meta {
	return Meta{RunID: id, Pinned: step.Pinned{StepID: stepID}, PreparedAt: Now(), Status: Prepared}
}

// A run is found by its id, the beginning of it, and by its step; an id comes first.
func TestResolve(t *testing.T) {
	ws, _ := newWorkspace(t)
	const first, second, third = "1700000000001-aaaaaaaa", "1700000000002-aaaaaaaa", "1700000000003-bbbbbbbb"
	commit(t, ws, of("a", first))
	commit(t, ws, of("a", second))
	stage(t, ws, of("a", third))
	commit(t, ws, of("b", "1600000000000-cccccccc"))
	stage(t, ws, of("twice", "1800000000001-dddddddd"))
	stage(t, ws, of("twice", "1800000000002-dddddddd"))
	stage(t, ws, of("", "1900000000000-eeeeeeee"))
	ok(t, ws.Link(t.Context(), "a", second))
	ok(t, ws.Link(t.Context(), "best", first)) // has no run of its own
	commit(t, ws, of("a", "b"))                // named as a step is, and younger than all
	stage(t, ws, of(first, "1950000000000-ffffffff"))

	for _, c := range []struct{ ref, change, look string }{
		{first, first, first}, // a step has this name, too
		{third, third, third},
		{"1700000000003", third, third},
		{"1600", "1600000000000-cccccccc", "1600000000000-cccccccc"},
		{"170", "", ""}, // too short
		{"1700", "several", "several"},
		{"1700000000001-aaaaaaa", first, first},
		{"a@open", third, third},
		{"a@linked", second, second},
		{"a@linked^", first, first},
		{"a@linked^^", "", ""},
		{third + "^^", first, first},
		{"a", "", "b"},
		{"a^", "", third},
		{"a^^^", "", first},
		{"a^^^^", "", ""},
		{"b", "b", "b"},
		{"b@linked", "", ""},
		{"b@open", "", ""},
		{"b^", third, third}, // of the run's step, which is a
		{"best", "", first},
		{"best@linked", first, first},
		{first + "@open", "1950000000000-ffffffff", "1950000000000-ffffffff"},
		{"twice", "", "1800000000002-dddddddd"},
		{"twice@open", "several", "1800000000002-dddddddd"},
		{"twice@open^", "several", "1800000000001-dddddddd"},
		{"1900000000000-eeeeeeee^", "", ""},
		{"nothing", "", ""},
		{"nothing@open", "", ""},
		{"1234567890123-01234567", "", ""},
	} {
		check(t, ws.Resolve, "change", c.ref, c.change)
		check(t, ws.ResolveToLook, "look", c.ref, c.look)
	}
	if _, err := ws.Resolve("a"); !strings.Contains(err.Error(), "a@open") {
		t.Errorf("no way out: %v", err)
	}
	var wrong *name.Error
	if _, err := ws.ResolveToLook("../a"); !errors.As(err, &wrong) {
		t.Error(err)
	}
}

// check tests what a name means: a run, none (""), or "several".
func check(t *testing.T, find func(string) (Run, error), how, ref, want string) {
	t.Helper()
	r, err := find(ref)
	switch want {
	case "":
		if !errors.Is(err, ErrNoRun) && !errors.Is(err, ErrNoStep) {
			t.Errorf("%s to %s: %+v, %v", ref, how, r, err)
		}
	case "several":
		if !errors.Is(err, ErrAmbiguous) || !strings.Contains(err.Error(), "00000000001-") {
			t.Errorf("%s to %s: %+v, %v", ref, how, r, err)
		}
	default:
		if err != nil || r.ID != want {
			t.Errorf("%s to %s: %q, %v; want %q", ref, how, r.ID, err, want)
		}
	}
}

// The step of many runs is found without their records, and what another tool adds or
// removes is seen all the same.
func TestRunsOfMany(t *testing.T) {
	ws, _ := newWorkspace(t)
	for i := range worthKeeping {
		stage(t, ws, of("a", fmt.Sprintf("17000000000%02d-aaaaaaaa", i)))
	}
	stage(t, ws, of("a", "own")) // may be used again for another step
	if runs, err := ws.RunsOf("a"); err != nil || len(runs) != worthKeeping+1 || runs[worthKeeping].ID != "own" {
		t.Fatalf("%v, %v", runs, err)
	}
	for _, r := range []string{"1700000000000-aaaaaaaa", "own"} {
		ok(t, os.WriteFile(ws.path(stagingDir, r, "meta.json"), []byte(`{"stepId": "b"}`), 0o666))
	}
	ok(t, os.RemoveAll(ws.path(stagingDir, "1700000000001-aaaaaaaa")))
	ok(t, os.MkdirAll(ws.path(runsDir, "1700000000099-bbbbbbbb"), 0o777))
	ok(t, os.WriteFile(ws.path(runsDir, "1700000000099-bbbbbbbb", "meta.json"), []byte(`{"stepId": "a", "env": {"A": 1}}`), 0o666))
	runs, err := ws.RunsOf("a")
	if err != nil || len(runs) != worthKeeping || runs[0].ID != "1700000000000-aaaaaaaa" || runs[worthKeeping-1].ID != "1700000000099-bbbbbbbb" {
		t.Errorf("%v, %v", runs, err)
	}
	if runs, err := ws.RunsOf("b"); err != nil || len(runs) != 1 || runs[0].ID != "own" {
		t.Errorf("%v, %v", runs, err)
	}
	// A damaged file costs time and nothing else.
	ok(t, os.WriteFile(ws.path(stepsFile), []byte("nonsense\n\x00 ../a\n"+strings.Repeat("x", 1<<20)), 0o666))
	if runs, err := ws.RunsOf("b"); err != nil || len(runs) != 2 {
		t.Errorf("%v, %v", runs, err)
	}
}

// A run that is committed meanwhile is found.
func TestResolveWhileItIsCommitted(t *testing.T) {
	ws, _ := newWorkspace(t)
	end := time.Now().Add(200 * time.Millisecond)
	for i := 0; time.Now().Before(end); i++ {
		m := of("a", fmt.Sprintf("17000%08d-aaaaaaaa", i))
		r := stage(t, ws, m, "f")
		done := make(chan error)
		go func() {
			m.Status = Success
			_, err := ws.Commit(t.Context(), r, &m)
			done <- err
		}()
		for committed := false; !committed; {
			select {
			case err := <-done:
				ok(t, err)
				committed = true
			default:
			}
			if found, err := ws.ResolveToLook("a"); err != nil || found.ID != m.RunID {
				t.Fatalf("%+v, %v", found, err)
			}
		}
	}
}
