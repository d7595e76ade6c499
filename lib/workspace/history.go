package workspace

import (
	"slices"

	"pipex/lib/name"
)

// History finds the run before each of many runs. It has looked at the open runs once, and at
// the others too if the workspace has no index; so it is as old as it is.
type History struct {
	ws *Workspace
	// open and committed have the runs of each step. Without committed the index has them.
	open, committed map[string][]datedRun
}

// History returns the history of the workspace as it is now. It takes no lock, except that of
// the index if that has to be made.
func (ws *Workspace) History() (*History, error) {
	open, err := ws.OpenRuns() // first, since runs move from there to the others
	if err != nil {
		return nil, err
	}
	h := &History{ws: ws, open: byItsStep(open)}
	if ws.index() != nil {
		runs, err := ws.Runs()
		if err != nil {
			return nil, err
		}
		h.committed = byItsStep(runs)
	}
	return h, nil
}

func byItsStep(runs []Run) map[string][]datedRun {
	of := map[string][]datedRun{}
	for _, r := range runs {
		if m := r.stepRecord(); m != nil && m.StepID != "" {
			of[m.StepID] = append(of[m.StepID], datedRun{r, r.prepared(m)})
		}
	}
	return of
}

// Before returns the run of a step that was prepared before r, which is one of the step's, as
// STEP^ names it. ok is false if there is none, or if step is no step's name.
func (h *History) Before(r Run, step string) (before Run, ok bool, err error) {
	if name.Check("step", step) != nil { // it may be from a record
		return Run{}, false, nil
	}
	runs := slices.Clone(h.open[step])
	if h.committed != nil {
		runs = append(runs, h.committed[step]...)
	} else {
		committed, err := h.ws.mayBeOf(step)
		if err != nil {
			return Run{}, false, err
		}
		runs = append(runs, committed...)
	}
	slices.SortFunc(runs, newestFirst)
	at := r.dated()
	for _, b := range runs {
		if b.ID == r.ID || newestFirst(at, b) >= 0 {
			continue
		}
		if m := b.stepRecord(); m != nil && m.StepID == step { // an entry of the index may outlive its run
			return b.Run, true, nil
		}
	}
	return Run{}, false, nil
}
