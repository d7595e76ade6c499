package main

import (
	"encoding/json"
	"io"

	"pipex/lib/provenance"
	"pipex/lib/workspace"
)

// line is a run in JSON. Inputs are run ids, Linked and Stale names of steps.
type line struct {
	RunID     string           `json:"runId"`
	StepID    string           `json:"stepId,omitempty"`
	Status    workspace.Status `json:"status"`
	Committed bool             `json:"committed"`
	Linked    []string         `json:"linked"`
	Inputs    []string         `json:"inputs"`
	Stale     []string         `json:"stale"`
}

func lines(w io.Writer, nodes []*provenance.Node) error {
	out := json.NewEncoder(w)
	for _, n := range nodes {
		l := line{n.ID, n.Step, n.Status, n.Committed, append([]string{}, n.Linked...), []string{}, append([]string{}, n.Stale...)}
		for _, in := range n.Inputs {
			l.Inputs = append(l.Inputs, in.ID)
		}
		if err := out.Encode(l); err != nil {
			return err
		}
	}
	return nil
}
