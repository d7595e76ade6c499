package main

import (
	"errors"

	"pipex/lib/cli"
	"pipex/lib/image"
	"pipex/lib/step"
	"pipex/lib/verb"
)

type fingerprint struct {
	Fingerprint string           `json:"fingerprint"`
	Ingredients step.Ingredients `json:"ingredients"`
}

// explain fetches no image: one that is not here has no run.
func explain(c *cli.Call, p verb.Prepare) (int, error) {
	p.Spec.Pull = step.PullNever
	if p.Spec.Step == "" && c.Bool("explain") {
		return 0, step.Usage("--explain compares with a step's run: name the step with --step")
	}
	e, err := p.Explain(c.Context.Context)
	if errors.Is(err, image.ErrMissing) && c.Bool("explain") {
		e, err = &verb.Explained{Differences: []verb.Difference{{What: "image " + p.Spec.Image, Detail: "is not here yet"}}}, nil
	}
	if err != nil {
		return 0, err
	}
	if c.Bool("fingerprint") {
		return cli.StatusDone, c.Print(fingerprint{e.Fingerprint, e.Ingredients}, e.Fingerprint)
	}
	if c.Bool("json") {
		return status(e.RunID != ""), c.Print(e)
	}
	for _, d := range e.Differences {
		if err := c.Print(d, d.String()); err != nil {
			return 0, err
		}
	}
	return status(e.RunID != ""), nil
}
