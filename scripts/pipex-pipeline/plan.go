package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"pipex/lib/cli"
	"pipex/lib/container"
	"pipex/lib/image"
	"pipex/lib/pipeline"
	"pipex/lib/step"
	"pipex/lib/verb"
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
	all, err := plan(c.Context.Context, p, verb.Prepare{Place: verb.Place(c.Place()), Resolve: resolve}, force)
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

func resolve(ctx context.Context, client *container.Client, s *step.Spec) (*container.Image, error) {
	return image.Resolve(ctx, client, s.Image, image.Options{Pull: s.Pull, Platform: s.Platform})
}

// plan tells what would become of each step if the pipeline were run, those in force
// whether or not they are up to date. prepare says where, and how images are found.
// It creates nothing.
func plan(ctx context.Context, p *pipeline.Pipeline, prepare verb.Prepare, force []string) ([]planned, error) {
	prepare.Workspace = p.Workspace
	runs := map[string]string{}
	var all []planned
	for _, s := range p.Steps {
		would := planned{step: pipeline.StepName{ID: s.ID, DisplayName: s.Name}, skipped: s.Skipped}
		prepare.Spec = s.Spec
		prepare.Spec.Pull = step.PullNever
		ready := s.Skipped == "" && !slices.Contains(force, s.ID) && !slices.Contains(force, allSteps)
		for _, in := range s.Inputs {
			ready = ready && runs[in.Step] != ""
			prepare.Spec.Inputs = append(prepare.Spec.Inputs, in.Inputs(runs[in.Step])...)
		}
		if ready {
			e, err := prepare.Explain(ctx)
			switch {
			case errors.Is(err, image.ErrMissing):
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
