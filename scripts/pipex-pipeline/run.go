package main

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"pipex/lib/cli"
	"pipex/lib/container"
	"pipex/lib/image"
	"pipex/lib/pipeline"
	"pipex/lib/step"
	"pipex/lib/verb"
)

func plan(c *cli.Call, p *pipeline.Pipeline) error {
	all, err := p.Plan(c.Context.Context, verb.Prepare{Place: verb.Place(c.Place()), Resolve: resolve}, names(c, "force"))
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

func resolve(ctx context.Context, client *container.Client, s *step.Spec) (*container.Image, error) {
	return image.Resolve(ctx, client, s.Image, image.Options{Pull: s.Pull, Platform: s.Platform})
}

func report(c *cli.Call, p *pipeline.Pipeline) *pipeline.Report {
	signal.Ignore(syscall.SIGPIPE) // a reader that goes away does not end the pipeline
	r := &pipeline.Report{Pipeline: p, Err: os.Stderr, Failures: c.Bool("quiet"), Logs: c.String("logs"), Workdir: c.Place().Workdir}
	if c.Bool("json") {
		r.Out = os.Stdout
	}
	return r
}
