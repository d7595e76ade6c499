package main

import (
	"encoding/json"
	"io"
	"time"

	"pipex/lib/timeline"
	"pipex/lib/workspace"
)

// line is a run in JSON. WaitedFor is the run after whose end this one was prepared, WaitedMs
// later; Input says that it is an input, and not one that gave room.
type line struct {
	RunID      string           `json:"runId"`
	StepID     string           `json:"stepId,omitempty"`
	Status     workspace.Status `json:"status"`
	PreparedAt workspace.Time   `json:"preparedAt"`
	StartedAt  workspace.Time   `json:"startedAt"`
	SetUpAt    workspace.Time   `json:"setUpAt"`
	FinishedAt workspace.Time   `json:"finishedAt"`
	Lane       int              `json:"lane"`
	Host       string           `json:"host,omitempty"`
	WaitedFor  string           `json:"waitedFor,omitempty"`
	Input      bool             `json:"input"`
	WaitedMs   int64            `json:"waitedMs"`
	Critical   bool             `json:"critical"`
}

func lines(w io.Writer, t *timeline.Timeline) error {
	out := json.NewEncoder(w)
	for _, b := range t.Bars {
		at := func(t time.Time) workspace.Time { return workspace.Time{Time: t} }
		l := line{b.Node.ID, b.Node.Step, b.Node.Status, at(b.Prepared), at(b.Started), at(b.SetUp), at(b.Finished), b.Lane, b.Host, "", b.Input, b.Waited.Milliseconds(), b.Critical}
		if b.After != nil {
			l.WaitedFor = b.After.Node.ID
		}
		if err := out.Encode(l); err != nil {
			return err
		}
	}
	return nil
}
