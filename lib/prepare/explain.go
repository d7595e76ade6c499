package prepare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"pipex/lib/name"
	"pipex/lib/run"
	"pipex/lib/step"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

// Explained describes the step that Prepare would prepare now.
type Explained struct {
	// Fingerprint is the step's fingerprint, in hexadecimal.
	Fingerprint string `json:"fingerprint"`
	// Canonical is what the fingerprint is computed from; see [step.Pinned.Canonical].
	Canonical json.RawMessage `json:"-"`
	// RunID is a committed, successful run with that fingerprint, if any.
	RunID string `json:"run,omitempty"`
	// Differences are the differences from the run that the step is linked to.
	Differences []step.Difference `json:"differences"`
}

// Explain computes the step's fingerprint and, if the step has a name, the differences
// from the run that the step is linked to. It creates nothing and fetches no image: the
// error wraps [ErrNoImage] if the image is missing. It takes the workspace lock, shared.
func Explain(ctx context.Context, p run.Place, opt Options) (*Explained, error) {
	return explain(ctx, p, opt, func(ws *workspace.Workspace, step string) (workspace.Run, *workspace.Meta, error) {
		if step == "" {
			return workspace.Run{}, nil, nil
		}
		return currentRun(ws, step)
	})
}

// ExplainRun is Explain for the step that a run was prepared from, as its record has it,
// and for the differences from that run, which may be open. What the record does not have
// cannot be told; see [step.Pinned.Spec].
func ExplainRun(ctx context.Context, p run.Place, id string, opt Options) (*Explained, error) {
	ws, err := p.Open()
	if err != nil {
		return nil, err
	}
	r, err := ws.Run(id)
	if err != nil {
		return nil, err
	}
	m, err := r.Meta()
	if err != nil {
		return nil, err
	}
	if gone := gone(m); len(gone) > 0 {
		return &Explained{Differences: gone}, nil
	}
	opt.Spec = *m.Spec()
	e, err := explain(ctx, p, opt, func(*workspace.Workspace, string) (workspace.Run, *workspace.Meta, error) { return r, m, nil })
	if errors.Is(err, ErrNoImage) {
		return &Explained{Differences: []step.Difference{{What: "image " + m.Image, Detail: "is not here"}}}, nil
	}
	return e, err
}

// gone lists what a step cannot be prepared without and the host does not have any more.
func gone(m *workspace.Meta) (found []step.Difference) {
	look := func(what, path string) {
		if _, err := os.Stat(path); path != "" && err != nil {
			found = append(found, step.Difference{What: what + " " + path, Detail: name.Reason(err).Error()})
		}
	}
	for _, mount := range m.Mounts {
		look("mount", mount.HostPath)
	}
	for _, source := range m.Sources {
		look("source", source.HostPath)
	}
	for _, secret := range m.Secrets {
		look("secret "+secret.Name, secret.File)
	}
	return found
}

// explain compares the step that would be prepared now with the run that find returns for
// the step's name, if any.
func explain(ctx context.Context, p run.Place, opt Options, find func(*workspace.Workspace, string) (workspace.Run, *workspace.Meta, error)) (*Explained, error) {
	opt.RunID, opt.Spec.Pull, opt.Fetch = "", step.PullNever, nil
	d, err := decide(ctx, p, opt)
	if err != nil {
		return nil, err
	}
	defer d.close()
	if d.ws != nil {
		shared, err := d.ws.Shared(ctx)
		if err != nil {
			return nil, err
		}
		defer shared.Release()
	}
	m, err := d.meta(ctx)
	if err != nil {
		return nil, err
	}
	e := &Explained{Fingerprint: m.Fingerprint, Canonical: m.Canonical(), Differences: []step.Difference{}}
	neverRun := step.Difference{What: fmt.Sprintf("step %s", m.StepID), Detail: "has no run yet"}
	if d.ws == nil {
		e.Differences = append(e.Differences, neverRun)
		return e, nil
	}
	if e.RunID, err = lookup(ctx, run.Place{}, d.ws, m.Fingerprint); err != nil {
		return nil, err
	}
	r, was, err := find(d.ws, m.StepID)
	switch {
	case errors.Is(err, workspace.ErrNoStep), errors.Is(err, workspace.ErrNoRun):
		e.Differences = append(e.Differences, neverRun)
	case err != nil:
		return nil, err
	case was == nil:
		return e, nil
	default:
		e.Differences = append(e.Differences, d.differences(ctx, r, was, m)...)
	}
	if e.RunID != "" && e.RunID != r.ID {
		e.Differences = append(e.Differences, step.Difference{What: "run " + e.RunID, Detail: "has this fingerprint"})
	}
	return e, nil
}

// currentRun returns the run that a step is linked to.
func currentRun(ws *workspace.Workspace, name string) (r workspace.Run, m *workspace.Meta, err error) {
	id, err := ws.Linked(name)
	if err == nil {
		r, err = ws.Run(id)
	}
	if err == nil {
		m, err = r.Meta()
	}
	return r, m, err
}

// differences lists what has changed since the run r, whose record is was.
func (d *decision) differences(ctx context.Context, r workspace.Run, was, is *workspace.Meta) []step.Difference {
	found, fit := run.Differences(d.ws, r, was, is, step.Trees{
		Was: r.Tree,
		Is:  func(digest string) *tree.Tree { return d.trees[digest] },
		Artifacts: func(in step.PinnedInput) *tree.Tree {
			from, err := d.ws.Run(in.RunID)
			if err != nil {
				return nil
			}
			return from.Tree(in.Digest)
		},
	})
	var damaged *workspace.DamagedError
	if fit && errors.As(d.ws.Intact(ctx, r, was), &damaged) {
		found = append(found, step.Difference{What: "run " + r.ID, Detail: "it is damaged: " + damaged.What()})
	}
	return found
}
