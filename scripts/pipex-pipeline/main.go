// pipex-pipeline reads a pipeline's file: for people, as JSON with all that it means
// said; for make, as a Makefile and a spec for each step. With --run it has make run
// them, and tells what becomes of the steps: this is pipex-run. With --make it tells
// pipex.mk which steps of a Makefile are not up to date.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/pipeline"
	"pipex/lib/step"
)

// program is how this program calls itself to people: as pipex-run, which goes on as it,
// gives it that name.
func program() string {
	if filepath.Base(os.Args[0]) == "pipex-run" {
		return "pipex-run"
	}
	return "pipex-pipeline"
}

func main() {
	cli.Main(cli.Verb{
		Name:     program(),
		Synopsis: []string{"[OPTION]... [FILE|DIR]"},
		About: "Print what the pipeline in FILE, or in DIR's pipeline.yml, pipeline.yaml or\n" +
			"pipeline.json, means: its steps with images, commands, inputs, as JSON. Nothing is run.",
		Flags: []ucli.Flag{
			&ucli.StringFlag{Name: "env-file", Usage: "`FILE` of variables for all steps, in dotenv form"},
			&ucli.StringFlag{Name: "network", Usage: "`NET` that allowNetwork gives: host, bridge or cni:NAME", Value: string(step.NetworkHost)},
			&ucli.StringFlag{Name: "target", Aliases: []string{"t"}, Usage: "these `STEP,...` only, and what they need"},
			&ucli.GenericFlag{Name: "force", Value: &cli.Optional{Bare: allSteps}, Usage: "run all steps, or those of --force=`STEP,...`, even if they are up to date"},
			&ucli.StringFlag{Name: "out", Usage: "write a Makefile for pipex.mk and the steps' specs to `DIR`, and print the steps to be made"},
			&ucli.BoolFlag{Name: "dry-run", Usage: "print what would become of each step, and why"},
			&ucli.BoolFlag{Name: "run", Usage: "run the steps, as pipex-run does; --quiet tells failures only, --verbose what the steps print, too"},
			&ucli.IntFlag{Name: "concurrency", Aliases: []string{"c"}, Usage: "with --run, `N` steps at once; else one for each processor"},
			&ucli.BoolFlag{Name: "detach", Usage: "with --run, run the steps in the background, and print the id of that"},
			&ucli.BoolFlag{Name: "attach", Usage: "show what runs, or ran, in the background from beginning to end; the operand is its ID, or else it is the newest"},
			&ucli.BoolFlag{Name: "stop", Usage: "send SIGTERM to what runs in the background, chosen in the same way"},
			&ucli.StringFlag{Name: "detached", Usage: "with --run: be what --detach has begun as `ID`"},
			&ucli.StringFlag{Name: "step-file", Usage: "print the step that is in `FILE`, as pipex-step -f wants it"},
			&ucli.StringFlag{Name: "step", Usage: "with --step-file, the step's id is `STEP`"},
			&ucli.StringSliceFlag{Name: "input", Usage: "with --step-file, an input of the artifacts of a step: `[ALIAS=]STEP`"},
			&ucli.StringFlag{Name: "make", Usage: "print rules for the steps that pipex.mk has written to `FILE`, and remove it"},
			cli.JSON,
		},
		Statuses: []string{
			"0    done",
			"1    with --run: a step has failed",
			"128  could not: the reason is on stderr",
			"129  wrong usage, or the file is wrong: each reason is on stderr, with its line",
		},
		Examples: []string{"pipex-pipeline examples/geodata | jq -r '.steps[] | .id + \" \" + .spec.image'"},
		Do:       do,
	})
}

func do(c *cli.Call) (int, error) {
	if lines := c.String("make"); lines != "" {
		return cli.StatusDone, rulesForMake(c, lines)
	}
	if file := c.String("step-file"); file != "" {
		return fileErrors(c, printStep(c, file))
	}
	switch {
	case c.Bool("attach"):
		return attach(c)
	case c.Bool("stop"):
		return cli.StatusDone, stopDetached(c)
	}
	p, err := load(c)
	if err != nil {
		return fileErrors(c, err)
	}
	force := names(c.Generic("force").(*cli.Optional).String())
	switch dir := c.String("out"); {
	case dir != "":
		err = writeOut(c, p, dir)
	case c.Bool("dry-run"):
		err = dryRun(c, p, force)
	case c.String("detached") != "":
		return runDetached(c, p, force, c.String("detached"))
	case c.Bool("run") && (c.Bool("detach") || p.Detach):
		err = detach(c, p)
	case c.Bool("run"):
		return runAll(c, p, force)
	default:
		err = show(p)
	}
	return cli.StatusDone, err
}

// fileErrors prints all that is wrong with a file, if that is the error.
func fileErrors(c *cli.Call, err error) (int, error) {
	var all pipeline.Errors
	if !errors.As(err, &all) {
		return cli.StatusDone, err
	}
	for _, err := range all {
		c.Fail(err)
	}
	return cli.StatusUsage, nil
}

// load reads the pipeline, as far as it is asked for.
func load(c *cli.Call) (*pipeline.Pipeline, error) {
	if err := c.Operands(0, 1); err != nil {
		return nil, err
	}
	opt, err := options(c)
	if err != nil {
		return nil, err
	}
	p, err := pipeline.Load(strings.Join(append(c.Args, ".")[:1], ""), opt)
	if err != nil {
		return nil, err
	}
	forced := slices.DeleteFunc(names(c.Generic("force").(*cli.Optional).String()), func(id string) bool { return id == allSteps })
	if err := p.Have(forced); err != nil {
		return nil, err
	}
	return p, p.Scope(names(c.String("target")))
}

func options(c *cli.Call) (pipeline.Options, error) {
	network, err := step.ParseNetwork(c.String("network"))
	if err != nil {
		return pipeline.Options{}, err
	}
	opt := pipeline.Options{Workspace: c.String("workspace"), EnvFile: c.String("env-file"), Network: network, Lookup: os.LookupEnv, Output: os.Stderr}
	if opt.Workspace == "" {
		opt.Workspace = os.Getenv("PIPEX_WORKSPACE") // else the pipeline's id
	}
	return opt, nil
}

// names are the steps in a list.
func names(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

// allSteps is in place of steps' names for all of them.
const allSteps = "all"

func show(p any) error {
	e := json.NewEncoder(os.Stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(p); err != nil {
		return fmt.Errorf("cannot print: %w", err)
	}
	return nil
}

func writeOut(c *cli.Call, p *pipeline.Pipeline, dir string) error {
	err := p.Write(dir)
	for _, id := range p.Runnable() {
		if err == nil {
			err = c.Print(id, id)
		}
	}
	return err
}
