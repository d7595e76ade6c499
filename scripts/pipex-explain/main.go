// pipex-explain says why a step would run now, from the record of one of its runs.
package main

import (
	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/prepare"
)

func main() {
	cli.Main(cli.Verb{
		Name:     "pipex-explain",
		Synopsis: []string{"[OPTION]... STEP|RUN"},
		About: "Compare what a run was made from, as its record says, with what is there now, and\n" +
			"print what differs, one thing a line: why the same step would run again. It creates\n" +
			"nothing. A line of a Makefile that has changed is not seen: make compares that itself.",
		Flags: []ucli.Flag{cli.JSON, cli.NUL},
		Statuses: []string{
			"0    the step would run; the reasons are on stdout",
			"1    no: no such step or run",
			"3    up to date: a committed run has the same fingerprint",
			"128  failed: the reason is on stderr",
			"129  wrong usage",
		},
		Examples: []string{"pipex-explain count"},
		Do:       do,
	})
}

func do(c *cli.Call) (int, error) {
	if err := c.Operands(1, 1); err != nil {
		return 0, err
	}
	id, err := c.RunToLookAt(c.Args[0])
	if err != nil {
		return 0, err
	}
	e, err := prepare.ExplainRun(c.Context.Context, c.Place(), id, prepare.Options{Caller: c.Caller()})
	if err != nil {
		return 0, err
	}
	status := cli.StatusDone
	if e.RunID != "" {
		status = cli.StatusUpToDate
		c.Say("up to date: run %q", e.RunID)
	}
	if c.Bool("json") {
		return status, c.Print(e)
	}
	for _, d := range e.Differences {
		if err := c.Print(d, d.String()); err != nil {
			return 0, err
		}
	}
	return status, nil
}
