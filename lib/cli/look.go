package cli

import "pipex/lib/workspace"

// RunToLookAt returns the id of the run that an operand means for a verb that changes
// nothing: also the newest run of a step. See [workspace.Workspace.ResolveToLook]. It says
// on stderr which run that is, unless the operand is its id.
func (c *Call) RunToLookAt(operand string) (string, error) {
	ws, err := c.Place().Open()
	if err != nil {
		return "", err
	}
	r, err := ws.ResolveToLook(operand)
	if err == nil {
		c.SayWhich(operand, r)
	}
	return r.ID, err
}

// SayWhich says which run an operand means, unless it is the run's id.
func (c *Call) SayWhich(operand string, r workspace.Run) {
	which := "run"
	if !r.Committed {
		which = "open run"
	}
	if r.ID != operand {
		c.Say("%q is %s %s", operand, which, r.ID)
	}
}
