// pipex-pipeline reads a pipeline's file: for people, as JSON with all that it means
// said; for make, as a Makefile and a spec for each step. pipex-run does the rest.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/pipeline"
	"pipex/lib/step"
)

func main() {
	cli.Main(cli.Verb{
		Name:     "pipex-pipeline",
		Synopsis: []string{"[OPTION]... [FILE|DIR]"},
		About: "Print what the pipeline in FILE, or in DIR's pipeline.yml, pipeline.yaml or\n" +
			"pipeline.json, means: its steps with images, commands, inputs, as JSON. Nothing is run.",
		Flags: []ucli.Flag{
			&ucli.StringFlag{Name: "env-file", Usage: "`FILE` of variables for all steps, in dotenv form"},
			&ucli.StringFlag{Name: "network", Usage: "`NET` that allowNetwork gives: host, bridge or cni:NAME", Value: string(step.NetworkHost)},
			&ucli.StringFlag{Name: "out", Usage: "`DIR` to write a Makefile for pipex.mk and the steps' specs to instead"},
		},
		Statuses: []string{
			"0    done",
			"128  could not: the reason is on stderr",
			"129  wrong usage, or the file is wrong: each reason is on stderr, with its line",
		},
		Examples: []string{"pipex-pipeline examples/geodata | jq -r '.steps[] | .id + \" \" + .spec.image'"},
		Plain:    true,
		Do:       resolve,
	})
}

func resolve(c *cli.Call) (int, error) {
	if err := c.Operands(0, 1); err != nil {
		return 0, err
	}
	path := "."
	if len(c.Args) == 1 {
		path = c.Args[0]
	}
	network, err := step.ParseNetwork(c.String("network"))
	if err != nil {
		return 0, err
	}
	workspace := c.String("workspace")
	if workspace == "" {
		workspace = os.Getenv("PIPEX_WORKSPACE") // else the pipeline's id
	}
	p, err := pipeline.Load(path, pipeline.Options{Workspace: workspace, EnvFile: c.String("env-file"), Network: network})
	var all pipeline.Errors
	if errors.As(err, &all) {
		for _, err := range all {
			c.Fail(err)
		}
		return cli.StatusUsage, nil
	}
	if err != nil {
		return 0, err
	}
	if dir := c.String("out"); dir != "" {
		return cli.StatusDone, p.Write(dir)
	}
	e := json.NewEncoder(os.Stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(p); err != nil {
		return 0, fmt.Errorf("cannot print: %w", err)
	}
	return cli.StatusDone, nil
}
