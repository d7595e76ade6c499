package cli

import (
	"errors"
	"slices"

	"pipex/lib/workspace"
)

// RunToLookAt returns the id of the run that an operand means: a run, or the newest run of
// a step, open and failed ones included. Then it says on stderr which run that is.
func (c *Call) RunToLookAt(operand string) (string, error) {
	ws, err := c.Place().Open()
	if err != nil {
		return "", err
	}
	r, err := newest(ws, operand)
	if err == nil && r.ID != operand {
		c.Say("this is about run %q", r.ID)
	}
	return r.ID, err
}

// newest returns the run of this id, or the newest one of the step of this name.
func newest(ws *workspace.Workspace, operand string) (workspace.Run, error) {
	r, err := ws.Run(operand)
	if !errors.Is(err, workspace.ErrNoRun) {
		return r, err
	}
	open, err := ws.OpenRuns()
	if err != nil {
		return r, err
	}
	for _, r := range slices.Backward(open) {
		if m, err := r.Meta(); err == nil && m.StepID == operand {
			return r, nil
		}
	}
	id, err := ws.Linked(operand)
	if err != nil {
		return r, err
	}
	return ws.Run(id)
}
