package workspace

import (
	"errors"
	"testing"
)

// The run before another one is that which RUN^ names, with an index and without.
func TestHistoryBefore(t *testing.T) {
	ws, _ := newWorkspace(t)
	ids := []string{"1700000000001-aaaaaaaa", "1700000000002-aaaaaaaa", "1700000000003-bbbbbbbb", "1700000000004-cccccccc", "mine"}
	commit(t, ws, of("a", ids[0]))
	stage(t, ws, of("a", ids[1]))
	commit(t, ws, of("b", ids[2]))
	commit(t, ws, of("a", ids[3]))
	commit(t, ws, of("a", ids[4])) // named by the caller, and younger than all
	before := func(t *testing.T) {
		h, err := ws.History()
		ok(t, err)
		for _, id := range ids {
			r, err := ws.Run(id)
			ok(t, err)
			m, err := r.Meta()
			ok(t, err)
			want, none := ws.Resolve(id + "^")
			got, found, err := h.Before(r, m.StepID)
			ok(t, err)
			if found == errors.Is(none, ErrNoRun) || found && got != want {
				t.Errorf("before %s: %v %v, want %v %v", id, got, found, want, none)
			}
		}
		r, err := ws.Run(ids[1])
		ok(t, err)
		for _, none := range []string{"", ".", "..", "a/../b", "c"} {
			if got, found, err := h.Before(r, none); found || err != nil {
				t.Errorf("before %s as one of %q: %v %v", r.ID, none, got, err)
			}
		}
	}
	index(t, ws)
	t.Run("with an index", before)
	noIndex(t, ws)
	t.Run("without", before)
}
