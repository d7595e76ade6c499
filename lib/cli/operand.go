package cli

import (
	"errors"

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

// RunOperands returns the workspace and the runs to look at that the operands name: [WORKSPACE]
// [STEP|RUN]...; no runs mean all. A first word that is no step and no run, but a workspace,
// means that.
func (c *Call) RunOperands() (ws *workspace.Workspace, runs []workspace.Run, err error) {
	ws, err = c.Place().Open()
	args := c.Args
	if len(args) > 0 {
		if err == nil {
			_, err = ws.ResolveToLook(args[0])
		}
		if err != nil && !errors.Is(err, workspace.ErrAmbiguous) {
			if w, is := c.WorkspaceOperand(args[0]); is {
				ws, args, err = w, args[1:], nil
			}
		}
	}
	for _, arg := range args {
		if err != nil {
			break
		}
		var r workspace.Run
		if r, err = ws.ResolveToLook(arg); err == nil {
			runs = append(runs, r)
		}
	}
	return ws, runs, err
}
