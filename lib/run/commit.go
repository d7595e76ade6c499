package run

import (
	"context"
	"errors"
	"fmt"

	"pipex/lib/internal/trace"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

// CommitOptions allow commits that are refused by default.
type CommitOptions struct {
	// AllowFailure also commits a run whose command failed.
	AllowFailure bool
	// AllowSpecial removes FIFOs, sockets and devices from the artifacts. Without it
	// a run that has some is refused.
	AllowSpecial bool
}

// Commit publishes the run id, atomically and durably: after it has returned nil,
// runs/RUN is complete and survives power loss. Committing a committed run does
// nothing. A run that did not succeed is refused with [workspace.ErrNotSuccessful],
// unless opt allows it. Committing a run without a container records it as a success.
//
// Commit does not connect to containerd. What the run owns there is handed over; left
// reports that, and the caller rings for a reaper.
//
// It takes the run's lock, and the workspace lock, shared, for the rename. If another
// process holds the run, the error is a [*workspace.BusyError].
func Commit(ctx context.Context, p Place, id string, opt CommitOptions) (m *workspace.Meta, left bool, err error) {
	ws, err := p.Open()
	if err != nil {
		return nil, false, err
	}
	r, lock, err := Hold(ws, id, "commit")
	if err != nil {
		return nil, false, err
	}
	defer lock.Release()
	m, err = r.Meta()
	if err != nil || r.Committed {
		return m, false, err
	}
	trace.Name("", "pipex.run", r.ID, "pipex.step", m.StepID)
	if err := committable(m, opt.AllowFailure); err != nil {
		return nil, false, fmt.Errorf("run %q %w", id, err)
	}
	defer trace.Region("commit %s", id)()
	if m.LookedAt == nil && len(m.Mounts)+len(m.Sources) > 0 {
		// The run has no container, or an earlier version of pipex executed it.
		Look(ctx, p, r, m)
	} else {
		p.Warning(Changed(m))
	}
	if opt.AllowSpecial {
		if err := tree.DropSpecial(ctx, r.Artifacts()); err != nil {
			return nil, false, fmt.Errorf("cannot commit run %q: %w", id, err)
		}
	}
	_, err = ws.Commit(ctx, r, m)
	var special *tree.SpecialError
	if errors.As(err, &special) {
		err = fmt.Errorf("%w, or drop all such files with --allow-special", err)
	}
	if err != nil {
		return nil, false, err
	}
	if m.Container == nil {
		return m, false, nil
	}
	// If that fails, prune finds the objects by their labels.
	return m, HandOver(p, ws, id, m.Container, false) == nil, nil
}

// committable returns an error if a run may not be committed. It completes the record of
// a run without a container.
func committable(m *workspace.Meta, allowFailure bool) error {
	if m.Status == workspace.Prepared && m.Container == nil {
		now, zero := workspace.Now(), 0
		m.StartedAt, m.FinishedAt, m.ExitCode, m.Status = &m.PreparedAt, &now, &zero, workspace.Success
		m.DurationMs = now.Sub(m.PreparedAt.Time).Milliseconds()
	}
	switch {
	case m.Status == workspace.Success:
		return nil
	case m.Status == workspace.Running:
		return fmt.Errorf("is %w: its pipex-exec died; pipex-exec %s attaches to it", workspace.ErrNotSuccessful, m.RunID)
	case allowFailure && m.Status == workspace.Failure:
		return nil
	case m.Status == workspace.Failure && m.ExitCode == nil: // by another tool
		return fmt.Errorf("is %w: its command failed; --allow-failure commits it anyway", workspace.ErrNotSuccessful)
	case m.Status == workspace.Failure:
		return fmt.Errorf("is %w: its command returned %d; --allow-failure commits it anyway", workspace.ErrNotSuccessful, *m.ExitCode)
	}
	return fmt.Errorf("is %w: it was never executed; pipex-exec %s does that", workspace.ErrNotSuccessful, m.RunID)
}

// Verify compares a committed run with its manifest and returns the differences; see
// [workspace.Workspace.Verify].
func Verify(ctx context.Context, p Place, id string) ([]tree.Difference, error) {
	ws, err := p.Open()
	if err != nil {
		return nil, err
	}
	r, err := ws.Run(id)
	if err == nil && !r.Committed {
		err = fmt.Errorf("run %q is %w, and has no manifest yet", id, workspace.ErrNotCommitted)
	}
	if err != nil {
		return nil, err
	}
	ctx, part := trace.Start(ctx, "verify", id)
	defer part.End()
	return ws.Verify(ctx, r)
}

// Committed returns the ids of all committed runs, oldest first.
func Committed(p Place) ([]string, error) {
	ws, err := p.Open()
	if err != nil {
		return nil, err
	}
	runs, err := ws.Runs()
	ids := make([]string, len(runs))
	for i, r := range runs {
		ids[i] = r.ID
	}
	return ids, err
}
