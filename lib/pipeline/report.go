package pipeline

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Report keeps account of what becomes of a pipeline's steps. One goroutine uses it.
type Report struct {
	*Pipeline
	// Show gets each event, complete.
	Show func(Event)
	// Logs is a directory that has what a step wrote to stderr as ID.stderr; its end
	// is told of a step that fails. Nothing is if this is empty.
	Logs string
	// Run tells the run of a step that is up to date; it may be nil.
	Run func(step string) string

	outcome map[string]Event // the last event of a step
	begun   time.Time
	total   int64
}

// Start tells that the pipeline begins, and which steps it skips.
func (r *Report) Start() {
	r.outcome, r.begun = map[string]Event{}, time.Now()
	start := Event{Event: pipelineStart, PipelineName: r.Name}
	for _, s := range r.Steps {
		start.Steps = append(start.Steps, StepName{s.ID, s.Name})
	}
	r.Tell(start)
	for _, s := range r.Steps {
		if s.Skipped != "" {
			r.Tell(Event{Event: StepSkipped, Step: &StepName{ID: s.ID}, Reason: s.Skipped})
		}
	}
}

// Failed tells whether a step has failed, or has not ended.
func (r *Report) Failed() bool {
	return slices.ContainsFunc(r.Steps, func(s Step) bool { return r.outcome[s.ID].Event == StepFailed || r.begins(s.ID) })
}

// begins tells whether a step has begun and not ended.
func (r *Report) begins(id string) bool {
	switch r.outcome[id].Event {
	case stepPreparing, StepStarting, StepRetrying:
		return true
	}
	return false
}

// Stopping tells which steps are waited for, now that a signal has told them to end.
func (r *Report) Stopping() {
	e := Event{Event: pipelineStopping}
	for _, s := range r.Steps {
		if r.begins(s.ID) {
			e.Steps = append(e.Steps, StepName{s.ID, s.Name})
		}
	}
	r.Tell(e)
}

// Abort tells that the pipeline has failed with a status, and nothing of steps.
func (r *Report) Abort(status int) { r.end(pipelineFailed, status, nil) }

// End reports the steps that were not begun, since they are up to date or need what has
// no result, those that have not ended, and how the pipeline has ended. by is the signal
// that has stopped it, or 0. End returns the exit status: 0, 1 if a step has failed, or
// 128+N for signal N.
func (r *Report) End(by syscall.Signal) (status int) {
	lost := map[string]bool{}
	for _, s := range r.Steps { // inputs come first
		e := Event{Step: &StepName{ID: s.ID}}
		lost[s.ID] = slices.ContainsFunc(s.Inputs, func(in Input) bool { return !in.Optional && lost[in.Step] })
		switch was := r.outcome[s.ID]; {
		case r.begins(s.ID):
			e.Event, e.Reason, lost[s.ID] = StepFailed, byInterrupt, true
		case was.Event != "":
			lost[s.ID] = was.Event == StepFailed || was.Event == StepSkipped && was.Reason == ByDependency
			continue
		case lost[s.ID] && by == 0:
			e.Event, e.Reason = StepSkipped, ByDependency
		case by != 0:
			e.Event, e.Reason = StepSkipped, byInterrupt
		default:
			e.Event, e.Reason, e.RunID = StepSkipped, ByCache, r.run(s.ID)
		}
		r.Tell(e)
	}
	counts := r.count()
	switch {
	case by != 0:
		status = 128 + int(by)
	case counts.Failed+counts.Stopped > 0:
		status = 1
	default:
		r.end(pipelineFinished, 0, counts)
		return 0
	}
	r.end(pipelineFailed, status, counts)
	return status
}

func (r *Report) end(event string, status int, counts *Counts) {
	e := Event{Event: event, ExitCode: &status, DurationMs: time.Since(r.begun).Milliseconds(), Counts: counts}
	if event == pipelineFinished {
		e.Total = &r.total
	}
	r.Tell(e)
}

func (r *Report) count() *Counts {
	c := new(Counts)
	for _, s := range r.Steps {
		switch e := r.outcome[s.ID]; {
		case e.Reason == byInterrupt:
			c.Stopped++
		case e.Event == StepFailed:
			c.Failed++
		case e.Event == StepSkipped && e.Reason == ByCache:
			c.UpToDate++
		case e.Event == StepSkipped:
			c.Skipped++
		default:
			c.Run++
		}
	}
	return c
}

func (r *Report) run(id string) string {
	if r.Run == nil {
		return ""
	}
	return r.Run(id)
}

// Tell passes an event on. One of a step that is not the pipeline's is dropped.
func (r *Report) Tell(e Event) {
	e.Time, e.Workspace = time.Now().UnixMilli(), r.Workspace
	if e.Step != nil {
		i := slices.IndexFunc(r.Steps, func(s Step) bool { return s.ID == e.Step.ID })
		if i < 0 {
			return // nobody's
		}
		e.Step.DisplayName = r.Steps[i].Name
		if e.Event != StepLog {
			r.outcome[e.Step.ID] = e
		}
	}
	if e.ArtifactSize != nil {
		r.total += *e.ArtifactSize
	}
	if e.Event == StepFailed && e.Reason != byInterrupt {
		e.LastLines = r.lastLines(e.Step.ID)
	}
	if e.Event != stepPreparing {
		r.Show(e)
	}
}

// How much is told of what a step wrote to stderr before it failed.
const (
	lastLines = 20
	lastBytes = 8 << 10
)

// lastLines is the end of what a step wrote to stderr.
func (r *Report) lastLines(id string) []string {
	if r.Logs == "" {
		return nil
	}
	f, err := os.Open(filepath.Join(r.Logs, id+".stderr"))
	if err != nil {
		return nil
	}
	defer f.Close()
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		f.Seek(max(0, size-lastBytes), io.SeekStart)
	}
	data, _ := io.ReadAll(io.LimitReader(f, lastBytes))
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return lines[max(0, len(lines)-lastLines):]
}
