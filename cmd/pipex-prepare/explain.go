package main

import (
	"encoding/json"
	"errors"

	"pipex/lib/cli"
	"pipex/lib/name"
	"pipex/lib/prepare"
	"pipex/lib/step"
)

type fingerprint struct {
	Fingerprint string          `json:"fingerprint"`
	Ingredients json.RawMessage `json:"ingredients"`
}

// explain prints what differs from the step's run, or the fingerprint. It fetches no image: if the
// image is missing, no run on this machine can be up to date.
func explain(c *cli.Call, opt prepare.Options) (int, error) {
	if opt.Spec.Step == "" && c.Bool("explain") {
		return 0, name.Usage("--explain compares with the run of a step; name the step with --step")
	}
	e, err := prepare.Explain(c.Context.Context, c.Place(), opt)
	if errors.Is(err, prepare.ErrNoImage) && c.Bool("explain") {
		e, err = &prepare.Explained{Differences: []step.Difference{{What: "image " + opt.Spec.Image, Detail: "is not here yet"}}}, nil
	}
	if err != nil {
		return 0, err
	}
	if c.Bool("fingerprint") {
		return cli.StatusDone, c.Print(fingerprint{e.Fingerprint, e.Canonical}, e.Fingerprint)
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
