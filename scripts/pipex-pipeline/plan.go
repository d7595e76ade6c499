package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"pipex/lib/cli"
	"pipex/lib/pipeline"
	"pipex/lib/prepare"
	"pipex/lib/run"
)

// planned is what would become of a step.
type planned struct {
	step pipeline.StepName
	// skipped says why it would not run: ByCondition, ByDependency, or ByCache, and
	// run is the one that it has already then. It would run if this is empty.
	skipped, run string
	// why are the differences from the step's run that have it run.
	why []string
}

func (p *planned) event() pipeline.Event {
	if p.skipped != "" {
		return pipeline.Event{Event: pipeline.StepSkipped, Step: &p.step, Reason: p.skipped, RunID: p.run}
	}
	return pipeline.Event{Event: pipeline.StepWouldRun, Step: &p.step, Why: p.why}
}

func (p *planned) text() string {
	switch p.skipped {
	case "":
		return "would run"
	case pipeline.ByCache:
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
		if err := c.Print(step.event(), fields...); err != nil {
			return err
		}
	}
	return err
}

// plan tells what would become of each step if the pipeline were run, those in force
// whether or not they are up to date, at a place.
// It creates nothing.
func plan(ctx context.Context, p *pipeline.Pipeline, at run.Place, force []string) ([]planned, error) {
	at.Workspace = p.Workspace
	runs := map[string]string{}
	var all []planned
	for _, s := range p.Steps {
		would := planned{step: pipeline.StepName{ID: s.ID, DisplayName: s.Name}, skipped: s.Skipped}
		spec := s.Spec
		ready := s.Skipped == "" && !slices.Contains(force, s.ID) && !slices.Contains(force, allSteps)
		for _, in := range s.Inputs {
			ready = ready && runs[in.Step] != ""
			spec.Inputs = append(spec.Inputs, in.Inputs(runs[in.Step])...)
		}
		if ready {
			e, err := prepare.Explain(ctx, at, prepare.Options{Spec: spec})
			switch {
			case errors.Is(err, prepare.ErrNoImage):
				would.why = []string{"image " + s.Spec.Image + ": is not here yet"}
			case err != nil:
				return all, err
			case e.RunID != "":
				would.skipped, would.run, runs[s.ID] = pipeline.ByCache, e.RunID, e.RunID
			default:
				for _, d := range e.Differences {
					would.why = append(would.why, d.String())
				}
			}
		}
		all = append(all, would)
	}
	return all, nil
}
