package workspace

import (
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
	of, listing := ws.RunsOf(s)
	if len(of) == 0 && listing == nil {
		of, listing = ws.linkedOnly(s)
	}
	switch {
	case listing != nil:
		return r, listing
	case len(of) > 0 && look:
		return of[len(of)-1], nil
	case len(of) > 0:
		return r, fmt.Errorf("%w: %q is a step; %s@open and %s@linked are its runs", err, s, s, s)
	case len(s) < minPrefix:
		return r, err
	}
	all, listing := ws.allRuns()
	if listing != nil {
		return r, listing
	}
	found := slices.DeleteFunc(all, func(r Run) bool { return !strings.HasPrefix(r.ID, s) })
	switch len(found) {
	case 0:
		if look {
			err = fmt.Errorf("%w or step %q in workspace %q%s", ErrNoRun, s, ws.ID, name.DidYouMean(s, ws.steps()))
		}
		return r, err
	case 1:
		return found[0], nil
	}
	return r, ambiguous(s, found)
}

// linkedOnly returns the run of a step that has only been linked to it: a run of another
// step, or one whose record cannot be read.
func (ws *Workspace) linkedOnly(step string) ([]Run, error) {
	id, err := ws.Linked(step)
	if errors.Is(err, ErrNoStep) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r, err := ws.Run(id)
	return []Run{r}, err
}

// openOf finds the open run of a step; the newest of several if look is set.
func (ws *Workspace) openOf(step string, look bool) (Run, error) {
	of, err := ws.RunsOf(step)
	if err != nil {
		return Run{}, err
	}
	open := slices.DeleteFunc(of, func(r Run) bool { return r.Committed })
	switch {
	case len(open) == 0:
		return Run{}, fmt.Errorf("%w: step %q has no open run in workspace %q", ErrNoRun, step, ws.ID)
	case len(open) == 1 || look:
		return open[len(open)-1], nil
	}
	return Run{}, ambiguous(step+"@"+name.Open, open)
}

// before finds the run of the same step that is n before r.
func (ws *Workspace) before(r Run, n int) (Run, error) {
	m := r.stepRecord()
	if m == nil || m.StepID == "" {
		return r, fmt.Errorf("%w before %q: it belongs to no step", ErrNoRun, r.ID)
	}
	of, err := ws.RunsOf(m.StepID)
	if err != nil {
		return r, err
	}
	at := slices.IndexFunc(of, func(o Run) bool { return o.ID == r.ID }) - n
	if at < 0 {
		return r, fmt.Errorf("%w: step %q has %d runs before %q", ErrNoRun, m.StepID, max(at+n, 0), r.ID)
	}
	return of[at], nil
}

// maxNamed is how many runs an error names.
const maxNamed = 4

func ambiguous(s string, runs []Run) error {
	var ids []string
	for _, r := range runs[:min(len(runs), maxNamed)] {
		ids = append(ids, r.ID)
	}
	if more := len(runs) - len(ids); more > 0 {
		ids = append(ids, fmt.Sprintf("and %d more", more))
	}
	return fmt.Errorf("%q %w: %s", s, ErrAmbiguous, strings.Join(ids, ", "))
}
