package exec

import (
	"context"
	"errors"
	"fmt"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/oci"
	"pipex/lib/run"
	"pipex/lib/step"
	"pipex/lib/workspace"
)

// View is a run to look at through a draft of its step: the container of the draft sees
// what the run saw and wrote, and what it writes itself goes away with the draft.
type View struct {
	Workspace *workspace.Workspace
	// Draft is the run in which the command is executed.
	Draft workspace.Run
	// Of is the run to look at. Its artifacts are seen at the path Artifacts.
	Of        workspace.Run
	Artifacts string
	// Snapshot is the name of what Of has written outside its artifacts, if that still
	// stands.
	Snapshot string
}

// Look executes opt.Cmd in a view of a run, and returns its status as [Exec] does. It
// leaves out secrets that are not available, and calls p.Warn with their names. The caller
// holds the lock of the draft, and removes the draft.
func Look(ctx context.Context, p run.Place, v View, opt Options) (int, error) {
	m, err := v.Draft.Meta()
	if err != nil {
		return 0, err
	}
	p.Namespace, p.Snapshotter = m.Container.Namespace, m.Container.Snapshotter
	client, err := containerd.Connect(ctx, p.Containerd)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	x := &execution{Place: p, Options: opt, ws: v.Workspace, run: v.Draft, meta: m, client: client, view: &v}
	var available []step.Secret
	for _, s := range m.Secrets {
		if _, err := x.readSecret(s); err != nil {
			x.Warning(fmt.Errorf("left out: %w", err))
			continue
		}
		available = append(available, s)
	}
	m.Secrets = available
	return x.execute(ctx)
}

// look adds to c what the run has written.
func (x *execution) look(c *oci.Container) error {
	c.Copied = []oci.Mount{{Source: x.view.Of.Artifacts(), Destination: x.view.Artifacts}}
	if x.view.Of.Committed {
		return nil // the rest is gone, or going
	}
	ctx := context.Background()
	var errs [2]error
	c.Below, errs[0] = x.client.Upper(ctx, x.view.Snapshot)
	c.BelowSources, errs[1] = x.client.Upper(ctx, x.view.Snapshot+containerd.SourcesSuffix)
	if err := errors.Join(errs[:]...); err != nil {
		x.Warning(fmt.Errorf("what the run wrote outside %q is not seen: %w", x.view.Artifacts, err))
	}
	return nil
}
