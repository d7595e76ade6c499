package pipeline

import (
	"context"
	"errors"
	"slices"

	"pipex/lib/prepare"
	"pipex/lib/run"
	"pipex/lib/step"
)

// Planned is what would become of a step.
type Planned struct {
	Step StepName
	// Skipped says why it would not run: ByCondition, ByDependency, or ByCache, and
	// RunID is the run that it has already then. It would run if this is empty.
	Skipped, RunID string
	// Why are the differences from the step's run that have it run.
	Why []string
}

// Event is what is planned as an event.
func (p *Planned) Event() Event {
	if p.Skipped != "" {
		return Event{Event: stepSkipped, Step: &p.Step, Reason: p.Skipped, RunID: p.RunID}
	}
	return Event{Event: "STEP_WOULD_RUN", Step: &p.Step, Why: p.Why}
}

// String is what is planned in words.
func (p *Planned) String() string {
	switch p.Skipped {
	case "":
		return "would run"
	case ByCache:
		return "up to date"
	}
	return "skipped (" + p.Skipped + ")"
}

// All is in place of steps' names for all of them.
const All = "all"

// Plan tells what would become of each step if the pipeline were run, those in force
// whether or not they are up to date, at a place.
// Plan creates nothing.
func (p *Pipeline) Plan(ctx context.Context, at run.Place, force []string) ([]Planned, error) {
	at.Workspace = p.Workspace
	runs := map[string]string{}
	var plan []Planned
	for _, s := range p.Steps {
		planned := Planned{Step: StepName{s.ID, s.Name}, Skipped: s.Skipped}
		spec := s.Spec
		ready := s.Skipped == "" && !slices.Contains(force, s.ID) && !slices.Contains(force, All)
		for _, in := range s.Inputs {
			ready = ready && runs[in.Step] != ""
			spec.Inputs = append(spec.Inputs, step.Input{Step: in.Step, Run: runs[in.Step]})
			if in.Copy {
				spec.Inputs = append(spec.Inputs, step.Input{Step: in.Step, Run: runs[in.Step], Copy: true})
			}
		}
		if ready {
			e, err := prepare.Explain(ctx, at, prepare.Options{Spec: spec})
			switch {
			case errors.Is(err, prepare.ErrNoImage):
				planned.Why = []string{"image " + spec.Image + ": is not here yet"}
			case err != nil:
				return nil, err
			case e.RunID != "":
				planned.Skipped, planned.RunID, runs[s.ID] = ByCache, e.RunID, e.RunID
			default:
				for _, d := range e.Differences {
					planned.Why = append(planned.Why, d.String())
				}
			}
		}
		plan = append(plan, planned)
	}
	return plan, nil
}
