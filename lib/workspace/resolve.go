package workspace

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"pipex/lib/name"
)

// ErrAmbiguous says that a name may mean several runs.
var ErrAmbiguous = errors.New("names several runs")

// minPrefix is how much of an id must be given, as in git: fewer characters are more
// likely a mistake.
const minPrefix = 4

// Resolve finds the run that a user names, for a verb that changes something: by its
// id, by the beginning of its id if no other run's begins so, as STEP@open or
// STEP@linked, each followed by ^ for the run of the same step before it. A run's id
// comes before a step's name. The name of a step alone is refused.
//
// The error wraps [ErrNoRun] or [ErrNoStep] if there is no such run, and [ErrAmbiguous]
// if there are several; it names some of them. It is a [*name.Error] or a
// [*name.UsageError] if ref does not have the form of such a name. Resolve takes no lock: the
// run may be committed or removed a moment later.
func (ws *Workspace) Resolve(ref string) (Run, error) { return ws.resolve(ref, false) }

// ResolveToLook is Resolve for a caller that only reads: the name of a step means its
// newest run, open or failed ones included, and so does STEP@open if several are open.
func (ws *Workspace) ResolveToLook(ref string) (Run, error) { return ws.resolve(ref, true) }

func (ws *Workspace) resolve(s string, look bool) (Run, error) {
	ref, err := name.ParseRef(s)
	if err != nil {
		return Run{}, err
	}
	var r Run
	switch ref.At {
	case name.Open:
		r, err = ws.openOf(ref.Name, look)
	case name.Linked:
		var id string
		if id, err = ws.Linked(ref.Name); err == nil {
			r, err = ws.Run(id)
		}
	default:
		r, err = ws.named(ref.Name, look)
	}
	if err == nil && ref.Back > 0 {
		r, err = ws.before(r, ref.Back)
	}
	return r, err
}

// named finds a run by its id, its step if look is set, or the beginning of its id.
func (ws *Workspace) named(s string, look bool) (Run, error) {
	r, err := ws.Run(s)
	if !errors.Is(err, ErrNoRun) || name.IsID(s) && !look {
		return r, err
	}
	newest, of := ws.newestOf(s)
	if errors.Is(of, ErrNoRun) {
		newest, of = ws.linkedOnly(s)
	}
	switch {
	case of == nil && look:
		return newest, nil
	case of == nil:
		return r, fmt.Errorf("%w: %q is a step; %s@open and %s@linked are its runs", err, s, s, s)
	case !errors.Is(of, ErrNoStep):
		return r, of
	case len(s) < minPrefix:
		return r, err
	}
	found, listing := ws.beginningWith(s)
	if listing != nil {
		return r, listing
	}
	switch len(found) {
	case 0:
		if look {
			err = fmt.Errorf("%w or step %q in workspace %q%s", ErrNoRun, s, ws.ID, name.DidYouMean(s, ws.Steps()))
		}
		return r, err
	case 1:
		return found[0], nil
	}
	return r, ambiguous(s, found)
}

// newestOf returns the newest run of a step. The error wraps ErrNoRun if it has none.
func (ws *Workspace) newestOf(step string) (Run, error) {
	for r, err := range ws.runsOf(step, nil) {
		return r, err
	}
	return Run{}, ErrNoRun
}

// linkedOnly returns the run of a step that has only been linked to it: a run of another
// step, or one whose record cannot be read.
func (ws *Workspace) linkedOnly(step string) (Run, error) {
	id, err := ws.Linked(step)
	if err != nil {
		return Run{}, err
	}
	return ws.Run(id)
}

// beginningWith returns the runs whose ids begin with prefix, the oldest first. Of many it
// returns some, more than an error names.
func (ws *Workspace) beginningWith(prefix string) (found []Run, err error) {
	open, err := ws.OpenRuns() // first, since runs move from there to the others
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	add := func(id string) {
		if r, err := ws.Run(id); err == nil && strings.HasPrefix(id, prefix) && !seen[id] {
			found, seen[id] = append(found, r), true
		}
	}
	for _, r := range open {
		add(r.ID)
	}
	for id, err := range ws.committedWith(idsFrom(prefix)) {
		if err != nil {
			return nil, err
		}
		if add(id); len(found) > maxNamed {
			break
		}
	}
	slices.SortFunc(found, func(a, b Run) int { return cmp.Compare(a.ID, b.ID) })
	return found, nil
}

// openOf finds the open run of a step; the newest of several if look is set.
func (ws *Workspace) openOf(step string, look bool) (Run, error) {
	of, err := ws.openRunsOf(step)
	if err != nil {
		return Run{}, err
	}
	switch {
	case len(of) == 0:
		return Run{}, fmt.Errorf("%w: step %q has no open run in workspace %q", ErrNoRun, step, ws.ID)
	case len(of) == 1 || look:
		return of[0].Run, nil
	}
	open := make([]Run, len(of))
	for i, r := range of {
		open[len(of)-1-i] = r.Run
	}
	return Run{}, ambiguous(step+"@"+name.Open, open)
}

// before finds the run of the same step that is n before r.
func (ws *Workspace) before(r Run, n int) (Run, error) {
	m := r.stepRecord()
	if m == nil || m.StepID == "" {
		return r, fmt.Errorf("%w before %q: it belongs to no step", ErrNoRun, r.ID)
	}
	at := -1
	for o, err := range ws.runsOf(m.StepID, &r) {
		if err != nil {
			return r, err
		}
		if at++; at == n {
			return o, nil
		}
	}
	return r, fmt.Errorf("%w: step %q has %d runs before %q", ErrNoRun, m.StepID, max(at, 0), r.ID)
}

// maxNamed is how many runs an error names.
const maxNamed = 4

func ambiguous(s string, runs []Run) error {
	var ids []string
	for _, r := range runs[:min(len(runs), maxNamed)] {
		ids = append(ids, r.ID)
	}
	if len(runs) > len(ids) {
		ids = append(ids, "and more")
	}
	return fmt.Errorf("%q %w: %s", s, ErrAmbiguous, strings.Join(ids, ", "))
}
