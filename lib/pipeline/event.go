package pipeline

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
	Fingerprint  string     `json:"fingerprint,omitempty"`
	ExitCode     *int       `json:"exitCode,omitempty"`
	DurationMs   int64      `json:"durationMs,omitempty"`
	ArtifactSize *int64     `json:"artifactSize,omitempty"`
	Attempt      int        `json:"attempt,omitempty"`
	MaxRetries   int        `json:"maxRetries,omitempty"`
	Stream       string     `json:"stream,omitempty"`
	Line         *string    `json:"line,omitempty"`
	// LastLines are the end of what a step that failed wrote to stderr.
	LastLines []string `json:"lastLines,omitempty"`
	// Certain is false for a step that would run only if what is made before it is
	// not what it was.
	Certain *bool    `json:"certain,omitempty"`
	Why     []string `json:"why,omitempty"`
	Counts  *Counts  `json:"counts,omitempty"`
	Total   *int64   `json:"totalArtifactSize,omitempty"`
}

// StepName is a step in an event.
type StepName struct {
	ID          string `json:"id"`
	DisplayName string `json:"displayName"`
}

// Counts say what became of a pipeline's steps. Each step is counted once.
type Counts struct {
	Run      int `json:"run"`
	UpToDate int `json:"upToDate"`
	Failed   int `json:"failed"`
	Skipped  int `json:"skipped"`
	// Stopped are those that a signal ended or kept from beginning.
	Stopped int `json:"stopped"`
}

// The events.
const (
	pipelineStart    = "PIPELINE_START"
	pipelineStopping = "PIPELINE_STOPPING"
	pipelineFinished = "PIPELINE_FINISHED"
	pipelineFailed   = "PIPELINE_FAILED"
	// stepPreparing is pipex-step's own: it looks whether the step is up to date.
	stepPreparing = "STEP_PREPARING"
	StepWouldRun  = "STEP_WOULD_RUN"
	StepStarting  = "STEP_STARTING"
	StepSkipped   = "STEP_SKIPPED"
	StepRetrying  = "STEP_RETRYING"
	StepFinished  = "STEP_FINISHED"
	StepFailed    = "STEP_FAILED"
	StepLog       = "STEP_LOG"
)

// byInterrupt is the reason of a step that a signal ended or kept from beginning.
const byInterrupt = "interrupted"

// Last tells whether nothing follows the event, and the pipeline's exit status then.
func (e *Event) Last() (status int, last bool) {
	last = e.Event == pipelineFinished || e.Event == pipelineFailed
	if e.ExitCode != nil {
		status = *e.ExitCode
	}
	return status, last
}
