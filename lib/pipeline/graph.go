package pipeline

import (
	"slices"
	"strings"

	"pipex/lib/name"
	"pipex/lib/step"
)

// order returns the steps each after its inputs, else in the order of the file. What
// names the steps is checked first: each id is there once, each input that is needed
// is there, and none needs itself.
func (b *builder) order(entries []*entry) []*entry {
	byID := map[string]*entry{}
	var ids []string
	for _, e := range entries {
		if other := byID[e.ID]; other != nil {
			b.fail(e.at, "step %q: line %d has a step of this id already", e.ID, other.at.Line)
			continue
		}
		byID[e.ID] = e
		ids = append(ids, e.ID)
	}
	for _, e := range entries {
		for i, in := range e.Inputs {
			if byID[in.Step] == nil && !in.Optional {
				b.fail(e.inputs[i], "step %q: no step %q to be an input; %s", e.ID, in.Step, suggest(in.Step, ids))
			}
		}
	}
	s := sorter{byID: byID, done: map[*entry]bool{}}
	for _, e := range entries {
		s.visit(e)
		if s.cycle != nil {
			b.fail(byID[s.cycle[0]].at, "the steps need each other: %s; one of the inputs has to go", strings.Join(s.cycle, " -> "))
			break
		}
	}
	return s.ordered
}

type sorter struct {
	byID    map[string]*entry
	path    []string // from a step to its inputs
	done    map[*entry]bool
	ordered []*entry
	cycle   []string // begins and ends with one step
}

func (s *sorter) visit(e *entry) {
	if e == nil || s.done[e] || s.cycle != nil {
		return
	}
	if i := slices.Index(s.path, e.ID); i >= 0 {
		s.cycle = append(slices.Clone(s.path[i:]), e.ID)
		return
	}
	s.path = append(s.path, e.ID)
	for _, in := range e.Inputs {
		s.visit(s.byID[in.Step])
	}
	s.path = s.path[:len(s.path)-1]
	s.done[e] = true
	s.ordered = append(s.ordered, e)
}

// skip decides which of the ordered steps do not run, and leaves out the optional
// inputs that there will not be.
func (b *builder) skip(ordered []*entry) {
	runs := map[string]bool{}
	for _, e := range ordered {
		var inputs []Input
		for _, in := range e.Inputs {
			if !runs[in.Step] && in.Optional {
				continue
			}
			inputs = append(inputs, in)
			if !runs[in.Step] {
				e.Skipped = ByDependency
			}
		}
		e.Inputs = append([]Input{}, inputs...)
		if e.Skipped == "" && !e.holds {
			e.Skipped = ByCondition
		}
		runs[e.ID] = e.Skipped == ""
	}
}

// check has lib/step look at each step with its inputs; what is not there on the
// host matters only to a step that runs.
func (b *builder) check(entries []*entry) {
	for _, e := range entries {
		if e.Skipped == "" {
			b.problems = append(b.problems, e.absent...)
		}
		whole := e.Spec
		for _, in := range e.Inputs {
			whole.Inputs = append(whole.Inputs, step.Input{Step: in.Step})
		}
		if err := whole.Check(); err != nil {
			b.fail(e.at, "step %q: %v", e.ID, err)
		}
	}
}

// Scope leaves of p only the steps called targets and what they need; all if there
// are none.
func (p *Pipeline) Scope(targets []string) error {
	if err := p.Have(targets); err != nil || len(targets) == 0 {
		return err
	}
	wanted := map[string]bool{}
	for _, t := range targets {
		wanted[t] = true
	}
	for _, s := range slices.Backward(p.Steps) {
		for _, in := range s.Inputs {
			wanted[in.Step] = wanted[in.Step] || wanted[s.ID]
		}
	}
	p.Steps = slices.DeleteFunc(p.Steps, func(s Step) bool { return !wanted[s.ID] })
	return nil
}

// Have returns an error for a name that is no step's.
func (p *Pipeline) Have(names []string) error {
	var ids []string
	for _, s := range p.Steps {
		ids = append(ids, s.ID)
	}
	for _, id := range names {
		if !slices.Contains(ids, id) {
			return name.Usage("the pipeline has no step %q; %s", id, suggest(id, ids))
		}
	}
	return nil
}
