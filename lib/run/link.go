package run

import (
	"context"

	"pipex/lib/workspace"
)

// Link points a step at a committed run; see [workspace.Workspace.Link].
func Link(ctx context.Context, p Place, step, id string) error {
	ws, err := p.Open()
	if err != nil {
		return err
	}
	if err := ws.Link(ctx, step, id); err != nil {
		return err
	}
	if r, err := ws.Run(id); err == nil {
		if m, err := r.Meta(); err == nil {
			p.Warning(Changed(m))
		}
	}
	return nil
}

// Unlink removes the link of a step, and never the run; see [workspace.Workspace.Unlink].
func Unlink(ctx context.Context, p Place, step string) error {
	ws, err := p.Open()
	if err != nil {
		return err
	}
	return ws.Unlink(ctx, step)
}

// Linked returns the run that a step points at; see [workspace.Workspace.Linked].
func Linked(p Place, step string) (string, error) {
	ws, err := p.Open()
	if err != nil {
		return "", err
	}
	return ws.Linked(step)
}

// Links returns the links of all steps; see [workspace.Workspace.Links].
func Links(p Place) ([]workspace.Link, error) {
	ws, err := p.Open()
	if err != nil {
		return nil, err
	}
	return ws.Links()
}
