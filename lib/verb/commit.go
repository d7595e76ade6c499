package verb

import (
	"context"
	"errors"
	"fmt"

	"pipex/lib/container"
	"pipex/lib/process"
	"pipex/lib/trace"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

// Commit tells which runs to publish.
type Commit struct {
	Place
	// AllowFailure publishes a run whose command failed, too.
	AllowFailure bool
	// AllowSpecial drops FIFOs, sockets and devices from the artifacts, instead
	// of refusing a run that has some.
	AllowSpecial bool
	// By is who is going to name the run; see [workspace.Workspace.Claim].
	By process.ID
}

// Do publishes the run id, atomically and durably: when it returns nil,
// runs/RUN is complete and survives power loss. Committing a committed run does
// nothing. A run that never succeeded is refused, with [workspace.ErrNotSuccessful],
// unless AllowFailure says otherwise; one without a container is as successful
// as whoever filled it says by committing it.
//
// What the run owns in containerd is dropped afterwards; if that fails, it is
// a matter for Prune and for p.Warn, not for the run.
//
// It holds the run's lock, and takes the workspace lock, shared.
func (p Commit) Do(ctx context.Context, id string) (*workspace.Meta, error) {
	ws, err := p.open()
	if err != nil {
		return nil, err
	}
	run, lock, err := hold(ws, id, "commit")
	if err != nil {
		return nil, err
	}
	defer lock.Release()
	m, err := run.Meta()
	if err != nil || run.Committed {
		return m, err
	}
	if err := committable(m, p.AllowFailure); err != nil {
		return nil, fmt.Errorf("run %q %w", id, err)
	}
	end := trace.Region("commit %s", id)
	if p.AllowSpecial {
		if err := tree.DropSpecial(ctx, run.Artifacts()); err != nil {
			return nil, fmt.Errorf("cannot commit run %q: %w", id, err)
		}
	}
	_, err = ws.Commit(ctx, run, m)
	var special *tree.SpecialError
	if errors.As(err, &special) {
		err = fmt.Errorf("%w, or drop all such files with --allow-special", err)
	}
	if err != nil {
		return nil, err
	}
	end()
	p.warn(ws.Claim(id, p.By))
	if m.Container != nil {
		if err := p.forget(ctx, m.Container); err != nil {
			p.warn(fmt.Errorf("run %q is committed, but what it owns in containerd is left to pipex-prune: %w", id, err))
		}
	}
	return m, nil
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
	case m.Status == workspace.Failure:
		return fmt.Errorf("is %w: its command returned %d; --allow-failure commits it all the same", workspace.ErrNotSuccessful, *m.ExitCode)
	}
	return fmt.Errorf("is %w: it was never executed; pipex-exec %s does that", workspace.ErrNotSuccessful, m.RunID)
}

// Verify compares a committed run with its manifest and returns in what they
// differ; see [workspace.Workspace.Verify].
func (p Place) Verify(ctx context.Context, id string) ([]tree.Difference, error) {
	ws, err := p.open()
	if err != nil {
		return nil, err
	}
	run, err := ws.Run(id)
	if err == nil && !run.Committed {
		err = fmt.Errorf("run %q is %w, and has no manifest yet", id, workspace.ErrNotCommitted)
	}
	if err != nil {
		return nil, err
	}
	defer trace.Region("verify %s", id)()
	return ws.Verify(ctx, run)
}

func (p Place) forget(ctx context.Context, c *workspace.Container) error {
	client, err := container.Connect(ctx, p.Address, c.Namespace)
	if err != nil {
		return err
	}
	defer client.Close()
	client.Snapshotter = c.Snapshotter
	return client.Forget(ctx, c.ID)
}
