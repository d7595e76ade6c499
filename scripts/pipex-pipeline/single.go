package main

import (
	"slices"
	"strings"

	"pipex/lib/cli"
	"pipex/lib/name"
	"pipex/lib/pipeline"
)

// printStep prints the step of a file, its inputs in its spec. Each --input binds one of its
// inputs to the artifacts of a step, or adds one.
func printStep(c *cli.Call, file string) error {
	if err := c.Operands(0, 0); err != nil {
		return err
	}
	opt, err := options(c)
	if err != nil {
		return err
	}
	s, err := pipeline.LoadStep(file, c.String("step"), opt)
	if err != nil {
		return err
	}
	bound := map[string]string{}
	for _, text := range c.StringSlice("input") {
		alias, from, ok := strings.Cut(text, "=")
		if !ok {
			from = alias
		}
		if err := name.CheckAll("step", []string{alias, from}); err != nil {
			return err
		}
		if bound[alias] != "" {
			return name.Usage("--input %s: %q is bound twice", text, alias)
		}
		bound[alias] = from
		if !slices.ContainsFunc(s.Inputs, func(in pipeline.Input) bool { return in.Step == alias }) {
			s.Inputs = append(s.Inputs, pipeline.Input{Step: alias})
		}
	}
	for _, in := range s.Inputs {
		inputs := in.Inputs("")
		if from := bound[in.Step]; from != "" && from != in.Step {
			for i := range inputs {
				inputs[i].Step = from
				if !inputs[i].Copy {
					inputs[i].Path = "/input/" + in.Step
				}
			}
		}
		s.Spec.Inputs = append(s.Spec.Inputs, inputs...)
	}
	if err := s.Spec.Check(); err != nil {
		return err
	}
	return show(s)
}
