package prepare

import (
	"context"
	"errors"
	"fmt"

	"pipex/lib/internal/trace"
	"pipex/lib/step"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

// inputs resolves each input to a committed run, without its digest.
func (d *decision) inputs() ([]step.PinnedInput, error) {
	var inputs []step.PinnedInput
	for _, in := range d.spec.Inputs {
		id := in.Run
		if id == "" {
			linked, err := d.ws.Linked(in.Step)
			if errors.Is(err, workspace.ErrNoStep) && in.Optional {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("cannot use input %q: %w", in.Step, err)
			}
			id = linked
		}
		r, err := d.ws.Resolve(id)
		if in.Optional && (errors.Is(err, workspace.ErrNoRun) || errors.Is(err, workspace.ErrNoStep)) {
			continue
		}
		if err == nil && !r.Committed {
			err = fmt.Errorf("run %q is %w", r.ID, workspace.ErrNotCommitted)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot use input %q: %w", in.Step, err)
		}
		inputs = append(inputs, step.PinnedInput{Step: in.Step, RunID: r.ID, MountedAs: in.Path, Copied: in.Copy})
	}
	return inputs, nil
}

// digestInput fills in the digest of an input's artifacts. Commit has recorded it, except
// in a run that another tool committed. It refuses artifacts that were altered since.
func digestInput(ctx context.Context, ws *workspace.Workspace, in *step.PinnedInput) error {
	r, err := ws.Run(in.RunID)
	if err != nil {
		return err
	}
	if m, err := r.Meta(); err == nil && m.Artifacts != nil {
		if err := ws.Intact(ctx, r, m); err != nil {
			return fmt.Errorf("cannot use input %q: %w", in.Step, err)
		}
		in.Digest = m.Artifacts.Digest
		return nil
	}
	content, err := tree.Scan(ctx, r.Artifacts())
	if err != nil {
		return fmt.Errorf("cannot read input %q: %w", in.Step, err)
	}
	in.Digest = content.Digest()
	return nil
}

// copyInputs copies the artifacts of the copied inputs into the run's artifacts.
func copyInputs(ctx context.Context, ws *workspace.Workspace, r workspace.Run, inputs []step.PinnedInput) error {
	for _, in := range inputs {
		if !in.Copied {
			continue
		}
		if err := copyInput(ctx, ws, r, in); err != nil {
			return fmt.Errorf("cannot copy input %q: %w", in.Step, err)
		}
	}
	return nil
}

func copyInput(ctx context.Context, ws *workspace.Workspace, r workspace.Run, in step.PinnedInput) error {
	ctx, part := trace.Start(ctx, "copy input", in.Step)
	defer part.End()
	from, err := ws.Run(in.RunID)
	if err != nil {
		return err
	}
	return tree.Copy(ctx, r.Artifacts(), from.Artifacts())
}
