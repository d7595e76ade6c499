package workspace

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"pipex/lib/name"

	"golang.org/x/sync/errgroup"
)

// stepsFile remembers the step of each run, a line of RUN and STEP each, so that
// finding the runs of a step does not read the records of all. Whatever is not in it is
// read from the records, and added: it may be missing, or lack runs of another tool.
// It has ids of the form of [name.NewID] only, since only those are never used again.
const stepsFile = private + "/steps"

// maxSteps is how many bytes of the file are read at most; a run takes some 40.
const maxSteps = 256 << 20

// worthKeeping is how many records must have been read before the file is written
// again: reading that many takes about as long.
const worthKeeping = 64

// RunsOf returns the runs of a step, open and committed ones, the oldest first: by the
// time in their ids or, for other ids, by that in their records. Runs whose records
// cannot be read belong to no step. It takes no lock.
func (ws *Workspace) RunsOf(step string) ([]Run, error) {
	runs, err := ws.allRuns()
	if err != nil {
		return nil, err
	}
	steps, read := ws.knownSteps(), make([]*stepRecord, len(runs))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	learnt := 0
	for i, r := range runs {
		if _, known := steps[r.ID]; known {
			continue
		}
		learnt++
		group.Go(func() error {
			read[i] = r.stepRecord()
			return nil
		})
	}
	group.Wait() // nothing fails
	type aged struct {
		Run
		at int64
	}
	var of []aged
	now := make(map[string]string, len(runs))
	for i, r := range runs {
		own, known := steps[r.ID]
		if m := read[i]; m != nil {
			own, known = m.StepID, true
		}
		if known && name.IsID(r.ID) {
			now[r.ID] = own
		}
		if known && own == step {
			of = append(of, aged{r, r.prepared(read[i])})
		}
	}
	if learnt >= worthKeeping {
		ws.keepSteps(now)
	}
	slices.SortFunc(of, func(a, b aged) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.ID, b.ID)) })
	all := make([]Run, len(of))
	for i, r := range of {
		all[i] = r.Run
	}
	return all, nil
}

// allRuns returns the open and the committed runs. A run that is committed meanwhile is
// there once.
func (ws *Workspace) allRuns() ([]Run, error) {
	open, err := ws.OpenRuns() // first, since runs move from there to the others
	if err != nil {
		return nil, err
	}
	runs, err := ws.Runs()
	if err != nil {
		return nil, err
	}
	for _, r := range open {
		_, both := slices.BinarySearchFunc(runs, r.ID, func(r Run, id string) int { return cmp.Compare(r.ID, id) })
		if !both {
			runs = append(runs, r)
		}
	}
	slices.SortFunc(runs, func(a, b Run) int { return cmp.Compare(a.ID, b.ID) })
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

// prepared is when a run was prepared, in milliseconds since the epoch.
func (r Run) prepared(m *stepRecord) int64 {
	if name.IsID(r.ID) {
		digits, _, _ := strings.Cut(r.ID, "-")
		at, _ := strconv.ParseInt(digits, 10, 64)
		return at
	}
	var at time.Time
	switch {
	case m != nil && m.PreparedAt != nil:
		at = m.PreparedAt.Time
	case m != nil && m.StartedAt != nil:
		at = m.StartedAt.Time
	}
	return at.UnixMilli()
}

// knownSteps reads the file; nothing if it cannot be read.
func (ws *Workspace) knownSteps() map[string]string {
	f, err := os.Open(ws.path(stepsFile))
	if err != nil {
		return nil
	}
	defer f.Close()
	steps := map[string]string{}
	for in := bufio.NewScanner(io.LimitReader(f, maxSteps)); in.Scan(); {
		run, step, ok := strings.Cut(in.Text(), " ")
		if ok && name.IsID(run) && (step == "" || name.Check("step", step) == nil) {
			steps[run] = step
		}
	}
	return steps
}

// keepSteps replaces the file. If that fails, records are read again the next time.
func (ws *Workspace) keepSteps(steps map[string]string) {
	var b strings.Builder
	for run, step := range steps {
		fmt.Fprintf(&b, "%s %s\n", run, step)
	}
	tmp, err := ws.Scratch("steps")
	if err != nil {
		return
	}
	defer os.Remove(tmp)
	if os.WriteFile(tmp, []byte(b.String()), 0o666) == nil {
		os.Rename(tmp, ws.path(stepsFile))
	}
}
