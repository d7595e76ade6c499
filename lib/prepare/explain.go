package prepare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

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
	opt.RunID, opt.Spec.Pull = "", step.PullNever
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
	if e.RunID, err = lookup(d.ws, m.Fingerprint); err != nil || m.StepID == "" {
		return e, err
	}
	current, was, err := currentRun(d.ws, m.StepID)
	switch {
	case errors.Is(err, workspace.ErrNoStep), errors.Is(err, workspace.ErrNoRun):
		e.Differences = append(e.Differences, neverRun)
	case err != nil:
		return nil, err
	default:
		e.Differences = append(e.Differences, d.differences(current, was, m)...)
	}
	if e.RunID != "" && e.RunID != current.ID {
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
func (d *decision) differences(r workspace.Run, was, is *workspace.Meta) (found []step.Difference) {
	if was.Fingerprint != is.Fingerprint {
		found = step.Differences(&was.Pinned, &is.Pinned, step.Trees{
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
		if len(found) == 0 {
			tool := was.Version
			if tool == "" {
				tool = "none"
			}
			found = append(found, step.Difference{What: "fingerprint", Detail: "is of another version or tool: " + tool})
		}
	}
	if was.Status != workspace.Success {
		found = append(found, step.Difference{What: "run " + was.RunID, Detail: "it failed"})
	}
	return found
}
