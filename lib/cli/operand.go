package cli

import (
	"pipex/lib/workspace"
)

// RunOperand finds the run to look at that the operands name: [WORKSPACE] STEP|RUN, and at
// most more operands after it, which it returns. The workspace may stand first, as for
// @livingdata/pipex. If that is not clear from the number of operands, the first one means
// a step or a run if there is one of that name, else a workspace.
func (c *Call) RunOperand(more int) (r workspace.Run, rest []string, err error) {
	if len(c.Args) <= 1+more {
		if r, err = c.RunIn("", c.Args[0]); err == nil || len(c.Args) == 1 {
			return r, c.Args[1:], err
		}
		if _, is := c.WorkspaceOperand(c.Args[0]); !is {
			return r, nil, err
		}
	}
	r, err = c.RunIn(c.Args[0], c.Args[1])
	return r, c.Args[2:], err
}

// RunIn finds a run to look at in a workspace; "" is that of the options.
func (c *Call) RunIn(ws, operand string) (workspace.Run, error) {
	place := c.Place()
	if ws != "" {
		place.Workspace = ws
	}
	w, err := place.Open()
	if err != nil {
		return workspace.Run{}, err
	}
	return w.ResolveToLook(operand)
}

// WorkspaceOperand opens the workspace of the workdir that an operand names, if there is
// one.
func (c *Call) WorkspaceOperand(operand string) (*workspace.Workspace, bool) {
	place := c.Place()
	place.Workspace = operand
	w, err := place.Open()
	return w, err == nil
}
