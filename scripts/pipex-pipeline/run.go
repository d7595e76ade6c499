package main

import (
	"os"
	"os/signal"
	"strings"
	"syscall"

	"pipex/lib/cli"
	"pipex/lib/pipeline"
)

func plan(c *cli.Call, p *pipeline.Pipeline) error {
	all, err := p.Plan(c.Context.Context, c.Place(), names(c, "force"))
	for _, step := range all {
		fields := []string{step.Step.ID, step.String()}
		if len(step.Why) > 0 {
			fields = append(fields, strings.Join(step.Why, "; "))
		}
		if err := c.Print(step.Event(), fields...); err != nil {
			return err
		}
	}
	return err
}

func report(c *cli.Call, p *pipeline.Pipeline) *pipeline.Report {
	signal.Ignore(syscall.SIGPIPE) // a reader that goes away does not end the pipeline
	r := &pipeline.Report{Pipeline: p, Err: os.Stderr, Failures: c.Bool("quiet"), Logs: c.String("logs"), Workdir: c.Place().Workdir}
	if c.Bool("json") {
		r.Out = os.Stdout
	}
	return r
}
