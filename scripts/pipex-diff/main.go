// pipex-diff says what differs between two runs.
package main

import (
	"bufio"
	"fmt"
	"os"

	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/name"
	"pipex/lib/workspace"
)

func main() {
	cli.Main(cli.Verb{
		Name:     "pipex-diff",
		Synopsis: []string{"[OPTION]... [WORKSPACE] STEP|RUN [STEP|RUN]"},
		About: "Print what differs between two runs: what was asked and what went in, how it ended, and\n" +
			"the artifacts: A added, D removed, M changed. With one STEP or RUN, compare it with the\n" +
			"run of its step before it. It changes nothing.",
		Flags: []ucli.Flag{
			&ucli.BoolFlag{Name: "patch", Aliases: []string{"p"}, Usage: "print also the lines that differ in files of text, as diff -u does"},
			&ucli.BoolFlag{Name: "exit-code", Usage: "exit with 1 if they differ"},
			cli.JSON,
		},
		Statuses: []string{
			"0    done",
			"1    no: no such workspace, run or step; with --exit-code, also if the runs differ",
			"128  failed: the reason is on stderr",
			"129  wrong usage",
		},
		Examples: []string{"pipex-diff report", "pipex-diff -p report^ report", "pipex-diff --exit-code a b && echo the same"},
		Plain:    true,
		Do:       diff,
	})
}

func diff(c *cli.Call) (int, error) {
	if err := c.OneOf("patch", "json"); err != nil {
		return 0, err
	}
	ws, was, is, err := operands(c)
	if err != nil {
		return 0, err
	}
	d, err := compare(c.Context.Context, ws, was, is)
	if err != nil {
		return 0, err
	}
	c.Warn(d.missing)
	out := bufio.NewWriter(os.Stdout)
	switch {
	case c.Bool("json"):
		err = d.json(out)
	default:
		err = d.text(out, cli.Colours(os.Stdout), c.Bool("patch"))
	}
	if flush := out.Flush(); err == nil {
		err = flush
	}
	if err != nil {
		return 0, fmt.Errorf("cannot print the differences: %w", err)
	}
	if c.Bool("exit-code") && d.differs() {
		return cli.StatusNo, nil
	}
	return 0, nil
}

// operands returns the two runs. One operand is compared with the run of its step before it.
func operands(c *cli.Call) (ws *workspace.Workspace, was, is workspace.Run, err error) {
	if err = c.Operands(1, 3); err != nil {
		return nil, was, is, err
	}
	ws, runs, err := c.RunOperands()
	if err != nil {
		return nil, was, is, err
	}
	switch len(runs) {
	case 1:
		is = runs[0]
		was, err = ws.ResolveToLook(is.ID + "^")
	case 2:
		was, is = runs[0], runs[1]
	default:
		err = name.Usage("one or two of STEP or RUN are wanted")
	}
	if err == nil && (was.ID != c.Args[0] || len(runs) == 1) {
		c.Say("from run %s to %s", was.ID, is.ID)
	}
	return ws, was, is, err
}
