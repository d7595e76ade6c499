package run

import (
	"context"
	"errors"
	"fmt"

	"pipex/lib/internal/trace"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

// CommitOptions say what to commit all the same.
type CommitOptions struct {
	// AllowFailure publishes a run whose command failed, too.
	AllowFailure bool
	// AllowSpecial drops FIFOs, sockets and devices from the artifacts, instead
	// of refusing a run that has some.
	AllowSpecial bool
}

// Commit publishes the run id, atomically and durably: when it returns nil,
// runs/RUN is complete and survives power loss. Committing a committed run does
// nothing. A run that never succeeded is refused, with [workspace.ErrNotSuccessful],
// unless opt allows it. Whoever commits a run without a container says by it that
// the run is a success.
//
// Commit asks containerd nothing. What the run owns there is left to
// [pipex/lib/run/reap.Objects]; owns tells whether there may be something.
//
// It holds the run's lock, and takes the workspace lock, shared, for the rename.
func Commit(ctx context.Context, p Place, id string, opt CommitOptions) (m *workspace.Meta, owns bool, err error) {
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
	if err := committable(m, opt.AllowFailure); err != nil {
		return nil, false, fmt.Errorf("run %q %w", id, err)
	}
	defer trace.Region("commit %s", id)()
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
	return m, m.Container != nil, nil
}

// committable says whether a run may be committed, and completes the record of
// one that was filled by hand.
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
		return fmt.Errorf("is %w: its command failed; --allow-failure commits it all the same", workspace.ErrNotSuccessful)
	case m.Status == workspace.Failure:
		return fmt.Errorf("is %w: its command returned %d; --allow-failure commits it all the same", workspace.ErrNotSuccessful, *m.ExitCode)
	}
	return fmt.Errorf("is %w: it was never executed; pipex-exec %s does that", workspace.ErrNotSuccessful, m.RunID)
}

// Verify compares a committed run with its manifest and returns in what they
// differ; see [workspace.Workspace.Verify].
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
	defer trace.Region("verify %s", id)()
	return ws.Verify(ctx, r)
}
