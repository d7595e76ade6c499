package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Event is what happens to a pipeline or to a step of it, in the form that
// @livingdata/pipex prints and pipex-step appends to $PIPEX_EVENTS.
type Event struct {
	Event        string     `json:"event"`
	Time         int64      `json:"time,omitempty"` // in milliseconds since 1970
	Workspace    string     `json:"workspaceId,omitempty"`
	PipelineName string     `json:"pipelineName,omitempty"`
	Steps        []StepName `json:"steps,omitempty"`
	Step         *StepName  `json:"step,omitempty"`
	Reason       string     `json:"reason,omitempty"`
	RunID        string     `json:"runId,omitempty"`
	ExitCode     *int       `json:"exitCode,omitempty"`
	DurationMs   int64      `json:"durationMs,omitempty"`
	ArtifactSize *int64     `json:"artifactSize,omitempty"`
	Attempt      int        `json:"attempt,omitempty"`
	MaxRetries   int        `json:"maxRetries,omitempty"`
	Stream       string     `json:"stream,omitempty"`
	Line         *string    `json:"line,omitempty"`
	Why          []string   `json:"why,omitempty"`
	Total        *int64     `json:"totalArtifactSize,omitempty"`
}

// StepName is a step in an event.
type StepName struct {
	ID          string `json:"id"`
	DisplayName string `json:"displayName"`
}

// The events.
const (
	pipelineStart    = "PIPELINE_START"
	pipelineFinished = "PIPELINE_FINISHED"
	pipelineFailed   = "PIPELINE_FAILED"
	StepWouldRun     = "STEP_WOULD_RUN"
	StepStarting     = "STEP_STARTING"
	StepSkipped      = "STEP_SKIPPED"
	StepRetrying     = "STEP_RETRYING"
	StepFinished     = "STEP_FINISHED"
	StepFailed       = "STEP_FAILED"
	StepLog          = "STEP_LOG"
)

// Report tells what becomes of a pipeline's steps.
type Report struct {
	*Pipeline
	// Out gets the events, a JSON object a line; it may be nil.
	Out io.Writer
	// Err gets a line for people for each step, unless there is an Out, and the last
	// words of those that fail. With Failures these are all that it gets lines for.
	Err      io.Writer
	Failures bool
	// Logs is a directory that has what a step wrote to stderr as ID.stderr; nothing
	// is shown of it if this is empty.
	Logs string
	// Run tells the run of a step that is up to date; it may be nil.
	Run func(step string) string

	outcome map[string]string // the last event of a step
	blocked map[string]bool   // skipped for want of an input, when it was run
	total   int64
}

// ErrFailed says that a step has failed.
var ErrFailed = errors.New("a step has failed")

// Start tells that the pipeline begins, and which steps it skips.
func (r *Report) Start() {
	r.outcome, r.blocked = map[string]string{}, map[string]bool{}
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

// Failed tells whether a step has failed.
func (r *Report) Failed() bool {
	return slices.ContainsFunc(r.Steps, func(s Step) bool { return r.outcome[s.ID] == StepFailed })
}

// Abort tells that the pipeline has failed, and nothing of steps.
func (r *Report) Abort() { r.Tell(Event{Event: pipelineFailed}) }

// End reports the steps that were not begun, since they are up to date or need what
// has no result, and how the pipeline has ended. It returns [ErrFailed] if a step has
// failed.
func (r *Report) End() error {
	failed := r.Failed()
	lost := map[string]bool{}
	for _, s := range r.Steps { // inputs come first
		lost[s.ID] = r.outcome[s.ID] == StepFailed || r.blocked[s.ID] || slices.ContainsFunc(s.Inputs, func(in Input) bool { return !in.Optional && lost[in.Step] })
		switch {
		case r.outcome[s.ID] == StepStarting && failed:
			lost[s.ID] = true // it was stopped
		case r.outcome[s.ID] != "":
		case lost[s.ID]:
			r.Tell(Event{Event: StepSkipped, Step: &StepName{ID: s.ID}, Reason: ByDependency})
		default:
			r.Tell(Event{Event: StepSkipped, Step: &StepName{ID: s.ID}, Reason: ByCache, RunID: r.run(s.ID)})
		}
	}
	if failed {
		r.Tell(Event{Event: pipelineFailed})
		return ErrFailed
	}
	r.Tell(Event{Event: pipelineFinished, Total: &r.total})
	return nil
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
			r.outcome[e.Step.ID] = e.Event
			r.blocked[e.Step.ID] = e.Event == StepSkipped && e.Reason == ByDependency
		}
	}
	if e.ArtifactSize != nil {
		r.total += *e.ArtifactSize
	}
	if r.Out != nil {
		data, err := json.Marshal(e)
		if err == nil {
			r.Out.Write(append(data, '\n'))
		}
	}
	if line := e.line(); r.Out == nil && line != "" && (!r.Failures || e.Event == StepFailed) {
		fmt.Fprintln(r.Err, line)
	}
	if e.Event == StepFailed {
		r.last(e.Step.ID)
	}
}

// line is the event for people; empty if they need not hear of it.
func (e *Event) line() string {
	if e.Step == nil {
		return ""
	}
	code := 0
	if e.ExitCode != nil {
		code = *e.ExitCode
	}
	text := ""
	switch e.Event {
	case StepSkipped:
		text = map[string]string{
			ByCache: "up to date", ByCondition: "skipped, its condition does not hold", ByDependency: "skipped, a step that it needs has no result",
		}[e.Reason]
	case StepRetrying:
		text = fmt.Sprintf("failed, and is tried again (%d of %d)", e.Attempt, e.MaxRetries)
	case StepFinished:
		text = fmt.Sprintf("done in %.1fs", float64(e.DurationMs)/1000)
		if code != 0 {
			text += fmt.Sprintf(", with status %d, which it may", code)
		}
	case StepFailed:
		text = fmt.Sprintf("failed with status %d", code)
	case StepLog:
		if e.Line == nil {
			return ""
		}
		return "[" + e.Step.ID + "] " + *e.Line
	}
	if text == "" {
		return ""
	}
	return e.Step.ID + ": " + text
}

// How much is shown of what a step wrote to stderr before it failed.
const (
	lastLines = 20
	lastBytes = 8 << 10
)

// last shows the end of what a step wrote to stderr. A step may write anything: what
// a terminal would take for a command is shown as "?".
func (r *Report) last(id string) {
	if r.Logs == "" {
		return
	}
	f, err := os.Open(filepath.Join(r.Logs, id+".stderr"))
	if err != nil {
		return
	}
	defer f.Close()
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		f.Seek(max(0, size-lastBytes), io.SeekStart)
	}
	data, _ := io.ReadAll(io.LimitReader(f, lastBytes))
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	for _, line := range lines[max(0, len(lines)-lastLines):] {
		fmt.Fprintln(r.Err, "    "+harmless(line))
	}
}

func harmless(line string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' && c != '\t' || c == 0x7f || c >= 0x80 && c < 0xa0 {
			return '?'
		}
		return c
	}, line)
}
