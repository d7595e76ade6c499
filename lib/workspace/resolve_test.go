package workspace

import (
	"errors"
	"fmt"
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
	index(t, ws)
	t.Run("with an index", func(t *testing.T) { testResolve(t, ws) })
	noIndex(t, ws)
	t.Run("without", func(t *testing.T) { testResolve(t, ws) })
}

func testResolve(t *testing.T, ws *Workspace) {
	const first, second, third = "1700000000001-aaaaaaaa", "1700000000002-aaaaaaaa", "1700000000003-bbbbbbbb"
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
