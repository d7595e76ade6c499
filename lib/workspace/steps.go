package workspace

import (
	"cmp"
	"encoding/json"
	"iter"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"pipex/lib/name"
)

// datedRun is a run and when it was prepared; see [Run.prepared].
type datedRun struct {
	Run
	at int64
}

func (r Run) dated() datedRun { return datedRun{r, r.prepared(nil)} }

func newestFirst(a, b datedRun) int { return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(b.ID, a.ID)) }

// runsOf returns the runs of a step, open and committed ones, the newest first: by the
// time in their ids or, for other ids, by that in their records. Runs whose records cannot be
// read belong to no step. A run that is committed meanwhile is returned once. It passes over
// runs that are newer than from, unless that is nil.
//
// It reads the records of the open runs, and of the committed ones that it returns; of all, if
// the workspace has no index.
func (ws *Workspace) runsOf(step string, from *Run) iter.Seq2[Run, error] {
	return func(yield func(Run, error) bool) {
		open, err := ws.openRunsOf(step) // first, since runs move from there to the others
		if err != nil {
			yield(Run{}, err)
			return
		}
		newer := func(r datedRun) bool { return from != nil && newestFirst(r, from.dated()) < 0 }
		open = slices.DeleteFunc(open, newer)
		committed, err := ws.mayBeOf(step)
		if err != nil {
			yield(Run{}, err)
			return
		}
		for _, r := range committed {
			if newer(r) {
				continue
			}
			for ; len(open) > 0 && newestFirst(open[0], r) < 0; open = open[1:] {
				if !yield(open[0].Run, nil) {
					return
				}
			}
			if m := r.stepRecord(); m == nil || m.StepID != step {
				continue
			}
			if len(open) > 0 && open[0].ID == r.ID {
				open = open[1:]
			}
			if !yield(r.Run, nil) {
				return
			}
		}
		for _, r := range open {
			if !yield(r.Run, nil) {
				return
			}
		}
	}
}

// openRunsOf returns the open runs of a step, the newest first.
func (ws *Workspace) openRunsOf(step string) (of []datedRun, err error) {
	runs, err := ws.OpenRuns()
	for _, r := range runs {
		if m := r.stepRecord(); m != nil && m.StepID == step {
			of = append(of, datedRun{r, r.prepared(m)})
		}
	}
	slices.SortFunc(of, newestFirst)
	return of, err
}

// mayBeOf returns the committed runs that may be of a step, the newest first.
func (ws *Workspace) mayBeOf(step string) (runs []datedRun, err error) {
	for id, err := range ws.committedWith(path.Join(byStep, step), "") {
		if err != nil {
			return nil, err
		}
		runs = append(runs, ws.committed(id).dated())
	}
	slices.SortFunc(runs, newestFirst)
	return runs, nil
}

// stepRecord is the part of a record that says where a run belongs.
type stepRecord struct {
	StepID     string `json:"stepId"`
	PreparedAt *Time  `json:"preparedAt"`
	StartedAt  *Time  `json:"startedAt"` // of a run of another tool
}

// stepRecord reads it; nil if it cannot be read. A commit may move the run meanwhile.
func (r Run) stepRecord() *stepRecord {
	root := filepath.Dir(filepath.Dir(r.Dir))
	for _, dir := range []string{r.Dir, filepath.Join(root, runsDir, r.ID)} {
		m := new(stepRecord)
		data, err := readFile(filepath.Join(dir, "meta.json"), maxMeta)
		if err == nil && json.Unmarshal(data, m) == nil {
			return m
		}
	}
	return nil
}

// prepared is when a run was prepared, in milliseconds since the epoch: by its id, if it has
// the form of [name.NewID], or else by its record, which is read unless it is given.
func (r Run) prepared(m *stepRecord) int64 {
	if name.IsID(r.ID) {
		digits, _, _ := strings.Cut(r.ID, "-")
		at, _ := strconv.ParseInt(digits, 10, 64)
		return at
	}
	if m == nil {
		m = r.stepRecord()
	}
	switch {
	case m != nil && m.PreparedAt != nil:
		return m.PreparedAt.UnixMilli()
	case m != nil && m.StartedAt != nil:
		return m.StartedAt.UnixMilli()
	}
	return 0
}
