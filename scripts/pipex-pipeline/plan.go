package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pipex/lib/cli"
	"pipex/lib/pipeline"
	"pipex/lib/prepare"
	"pipex/lib/run"
	"pipex/lib/step"
	"pipex/lib/workspace"
)

// planned is what would become of a step.
type planned struct {
	step pipeline.StepName
	// skipped says why it would not run: ByCondition, ByDependency, or ByCache, and
	// run is the one that it has already then. It would run if this is empty.
	skipped, run, fingerprint string
	// perhaps says that it would run only if what is made before it is not what it was.
	perhaps bool
	// why are the reasons to run it.
	why []string
}

func (p *planned) event(workspace string) pipeline.Event {
	e := pipeline.Event{
		Event: pipeline.StepWouldRun, Time: time.Now().UnixMilli(), Workspace: workspace, Step: &p.step,
		Reason: p.skipped, RunID: p.run, Fingerprint: p.fingerprint, Why: p.why,
	}
	if p.skipped != "" {
		e.Event = pipeline.StepSkipped
		return e
	}
	certain := !p.perhaps
	e.Certain = &certain
	return e
}

func (p *planned) text() string {
	switch {
	case p.perhaps:
		return "may run"
	case p.skipped == "":
		return "would run"
	case p.skipped == pipeline.ByCache:
		return "up to date"
	}
	return "skipped (" + p.skipped + ")"
}

// dryRun prints what would become of each step.
func dryRun(c *cli.Call, p *pipeline.Pipeline, force []string) error {
	all, err := plan(c.Context.Context, p, c.Place(), force)
	for _, step := range all {
		fields := []string{step.step.ID, step.text()}
		if len(step.why) > 0 {
			fields = append(fields, strings.Join(step.why, "; "))
		}
		if err := c.Print(step.event(p.Workspace), fields...); err != nil {
			return err
		}
	}
	return err
}

// plan tells what would become of each step if the pipeline were run, those in force
// whether or not they are up to date, at a place. It creates nothing.
//
// It decides as the run does: first as pipex.mk, whether the step is looked at, and then
// as pipex-step, whether there is a run with its fingerprint.
func plan(ctx context.Context, p *pipeline.Pipeline, at run.Place, force []string) ([]planned, error) {
	at.Workspace = p.Workspace
	l, err := newLooker(ctx, at)
	if err != nil {
		return nil, err
	}
	planner := &planner{looker: l, place: at, force: force, runs: map[string]string{}, same: map[string]bool{}}
	var all []planned
	for _, s := range p.Steps {
		would, err := planner.step(&s)
		if err != nil {
			return all, err
		}
		if would.skipped == pipeline.ByCache {
			planner.runs[s.ID] = would.run
			l.assume(s.ID, would.run)
		}
		all = append(all, would)
	}
	return all, nil
}

type planner struct {
	*looker
	place run.Place
	force []string
	runs  map[string]string // of the steps that are up to date
	same  map[string]bool   // the fingerprints of those that are not
}

func (p *planner) step(s *pipeline.Step) (would planned, err error) {
	would = planned{step: pipeline.StepName{ID: s.ID, DisplayName: s.Name}, skipped: s.Skipped}
	switch {
	case s.Skipped != "":
		return would, nil
	case slices.Contains(p.force, s.ID) || slices.Contains(p.force, allSteps):
		would.why = []string{"step " + s.ID + ": is forced"}
		return would, nil
	}
	spec := s.Spec
	for _, in := range s.Inputs {
		if p.runs[in.Step] == "" {
			would.perhaps = true
			would.why = append(would.why, "step "+in.Step+": may run before it")
		}
		spec.Inputs = append(spec.Inputs, in.Inputs(p.runs[in.Step])...)
	}
	if would.perhaps && p.ws == nil {
		would.perhaps, would.why = false, []string{"step " + s.ID + ": has no run yet"} // nor has any other
	}
	if len(would.why) > 0 {
		return would, nil
	}
	if m := p.untouched(s); m != nil {
		would.skipped, would.run, would.fingerprint = pipeline.ByCache, m.RunID, m.Fingerprint
		return would, nil
	}
	e, err := prepare.Explain(p.ctx, p.place, prepare.Options{Spec: spec})
	if errors.Is(err, prepare.ErrNoImage) {
		would.perhaps, would.why = p.ws != nil, []string{"image " + s.Spec.Image + ": is not here yet"}
		return would, nil
	}
	if err != nil {
		return would, err
	}
	would.fingerprint, would.run = e.Fingerprint, e.RunID
	if would.run == "" && s.AllowFailure {
		would.run = p.mayFail(s.ID, e.Fingerprint)
	}
	if would.run != "" {
		would.skipped = pipeline.ByCache
		return would, nil
	}
	would.perhaps = p.same[e.Fingerprint] // another step's run may be taken
	p.same[e.Fingerprint] = true
	for _, d := range e.Differences {
		would.why = append(would.why, d.String())
	}
	return would, nil
}

// untouched returns the record of the run of a step that make would not look at.
func (p *planner) untouched(s *pipeline.Step) *workspace.Meta {
	if p.ws == nil {
		return nil
	}
	stamp := func(id string) string { return filepath.Join(p.ws.Root, ".pipex", "stamps", id) }
	t := &target{name: s.ID}
	var err error
	if t.spec, err = asWritten(s); err != nil || !p.upToDate(t, stamp(s.ID)) || modified(stamp(s.ID)+".output").IsZero() {
		return nil
	}
	for _, in := range s.Inputs {
		if modified(stamp(in.Step) + ".output").After(modified(stamp(s.ID))) {
			return nil
		}
	}
	id, err := p.linked(s.ID)
	if err != nil {
		return nil
	}
	m, err := p.record(id)
	if err != nil {
		return nil
	}
	return m
}

// asWritten is the step's spec as pipex-pipeline reads it for pipex.mk.
func asWritten(s *pipeline.Step) (*step.Spec, error) {
	data, err := json.Marshal(s.WithInputs())
	if err != nil {
		return nil, err
	}
	spec, err := step.ReadSpec(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	dir, err := os.Getwd()
	if err == nil {
		spec.Absolute(dir)
	}
	return spec, err
}

// mayFail is the run of a step that failed, as it may, and has the fingerprint: pipex-step
// does not run it again.
func (p *planner) mayFail(id, fingerprint string) string {
	linked, err := p.linked(id)
	if err != nil {
		return ""
	}
	m, err := p.record(linked)
	if err != nil || m.Fingerprint != fingerprint || len(m.ChangedInputs) > 0 {
		return ""
	}
	return linked
}
