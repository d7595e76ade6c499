// Package status says how the steps and the open runs of a workspace are: what pipex-show
// lists, and pipex-report. It takes no lock, changes nothing, and trusts no record.
package status

import (
	"context"
	"errors"
	"io/fs"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"pipex/lib/tree"
	"pipex/lib/workspace"
)

// Row is a run as it is shown. Where @livingdata/pipex has a name for a field, it is that.
type Row struct {
	// Workspace is the workspace's name, if rows of several are listed.
	Workspace  string           `json:"workspace,omitempty"`
	StepID     string           `json:"stepId,omitempty"`
	StepName   string           `json:"stepName,omitempty"`
	RunID      string           `json:"runId,omitempty"`
	Status     workspace.Status `json:"status"`
	ExitCode   *int             `json:"exitCode,omitempty"`
	Reason     string           `json:"reason,omitempty"`
	StartedAt  *workspace.Time  `json:"startedAt,omitempty"`
	FinishedAt *workspace.Time  `json:"finishedAt,omitempty"`
	// DurationMs is that of the exec; of one that runs it is the time until now.
	DurationMs *int64 `json:"durationMs,omitempty"`
	PeakMemory int64  `json:"peakMemoryBytes,omitempty"`
	// Host is the machine that executed it.
	Host string `json:"host,omitempty"`
	// ArtifactSize is the size of the artifacts in bytes; it is not known of all runs.
	ArtifactSize *int64 `json:"artifactSize,omitempty"`
	// Inputs are the runs that it reads.
	Inputs []Input `json:"inputs,omitempty"`
	// Open says that the run is not committed, Linked that the step's name points to it.
	Open   bool `json:"open"`
	Linked bool `json:"linked"`
	// SucceededSince says that the run failed, and the step has succeeded since.
	SucceededSince bool `json:"succeededSince,omitempty"`
	// Changed are the mounts and sources that changed while it ran; see [workspace.Meta].
	Changed     []workspace.ChangedInput `json:"changedInputs,omitempty"`
	ChangedMore int                      `json:"changedInputsMore,omitempty"`

	// Run is where it is, Meta its record: nil if it cannot be read.
	Run  workspace.Run   `json:"-"`
	Meta *workspace.Meta `json:"-"`
}

// Input is a run that another one reads, and its step.
type Input struct {
	StepID string `json:"stepId,omitempty"`
	RunID  string `json:"runId"`
}

// The statuses of runs that have no result, besides those of a record.
const (
	Interrupted workspace.Status = "interrupted" // recorded as running, but no pipex-exec holds it
	Missing     workspace.Status = "missing"     // a step is linked to it, but it is gone
	Unreadable  workspace.Status = "unreadable"  // its record cannot be read
)

// Read returns a row for each link and for each open run, in no order worth keeping. It
// returns the rows of good links together with an error that names bad ones.
func Read(ctx context.Context, ws *workspace.Workspace) (linked, open []*Row, err error) {
	return new(Reader).Read(ctx, ws)
}

// Reader reads the rows of one workspace again and again: those of committed runs once, since
// they do not change.
type Reader struct {
	committed map[string]*Row // by the run's id
}

// Read is [Read].
func (rd *Reader) Read(ctx context.Context, ws *workspace.Workspace) (linked, open []*Row, err error) {
	links, err := ws.Links()
	runs, openErr := ws.OpenRuns()
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	linked, open = make([]*Row, len(links)), make([]*Row, len(runs))
	for i, l := range links {
		g.Go(func() error {
			r, err := ws.Run(l.RunID)
			if err != nil {
				linked[i] = &Row{RunID: l.RunID, Status: Missing}
			} else if known := rd.committed[l.RunID]; known != nil {
				row := *known
				linked[i] = &row
			} else {
				linked[i] = ReadRun(ctx, ws, r)
			}
			linked[i].StepID, linked[i].Linked = l.Step, true
			return nil
		})
	}
	for i, r := range runs {
		g.Go(func() error { open[i] = ReadRun(ctx, ws, r); return nil })
	}
	g.Wait()
	rd.committed = make(map[string]*Row, len(linked))
	for _, r := range linked {
		if r.Run.Committed && r.Meta != nil {
			rd.committed[r.RunID] = r
		}
	}
	return linked, append(open, foreignRows(ws)...), errors.Join(err, openErr)
}

// ReadRun returns the row of one run. Whether a step is linked to it, the caller knows.
func ReadRun(ctx context.Context, ws *workspace.Workspace, r workspace.Run) *Row {
	row := &Row{RunID: r.ID, Open: !r.Committed, Status: Unreadable, Run: r}
	m, err := r.Meta()
	switch {
	case err == nil:
		row.fill(ws, m)
	case errors.Is(err, fs.ErrNotExist):
		row.Reason = "no meta.json"
	default:
		row.Reason = "damaged meta.json"
	}
	if err == nil && m.Artifacts != nil {
		row.ArtifactSize = &m.Artifacts.Bytes
	} else if t, err := tree.List(ctx, r.Artifacts()); err == nil {
		bytes := t.Bytes()
		row.ArtifactSize = &bytes
	}
	return row
}

// fill sets the fields that the record has.
func (row *Row) fill(ws *workspace.Workspace, m *workspace.Meta) {
	row.Meta = m
	row.StepID, row.StepName = m.StepID, m.StepName
	row.Status, row.ExitCode, row.Reason = m.Status, m.ExitCode, m.Reason
	row.StartedAt, row.FinishedAt = m.StartedAt, m.FinishedAt
	for _, in := range m.Inputs {
		row.Inputs = append(row.Inputs, Input{in.Step, in.RunID})
	}
	if len(m.Execs) > 0 {
		row.Host = m.Execs[len(m.Execs)-1].Host
	}
	row.Changed, row.ChangedMore = m.ChangedInputs, m.ChangedInputsMore
	if m.Usage != nil {
		row.PeakMemory = m.Usage.PeakMemoryBytes
	}
	switch {
	case row.Status == workspace.Running:
		row.running(ws, m)
	case m.FinishedAt != nil:
		row.DurationMs = &m.DurationMs
	}
}

// running sets the time until now, if a pipex-exec holds the run.
func (row *Row) running(ws *workspace.Workspace, m *workspace.Meta) {
	if n := len(m.Execs); n > 0 {
		row.StartedAt, row.FinishedAt, row.ExitCode = &m.Execs[n-1].StartedAt, nil, nil
	}
	var busy *workspace.BusyError
	if err := ws.Held(m.RunID); err == nil {
		row.Status, row.Reason = Interrupted, "its pipex-exec has died; pipex-exec "+m.RunID+" attaches"
	} else if errors.As(err, &busy) && row.StartedAt != nil {
		ms := max(time.Since(row.StartedAt.Time).Milliseconds(), 0)
		row.DurationMs = &ms
	}
}
