// pipex-link points a step at a committed run.
package main

import (
	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/cli/traced"
	"pipex/lib/name"
	"pipex/lib/run"
	"pipex/lib/workspace"
)

func main() {
	cli.Main(cli.Verb{
		Name:     "pipex-link",
		Synopsis: []string{"[OPTION]... STEP RUN", "[OPTION]... STEP", "[OPTION]...", "[OPTION]... --delete STEP", "[OPTION]... --where[=WHAT] [STEP|RUN]"},
		About: "With STEP and RUN, point STEP at the committed RUN, atomically. With STEP, print the\n" +
			"run that it points at. Without operands, list STEP<TAB>RUN. With --delete, remove the\n" +
			"link of STEP, never the run. With --where, print the directory of the workspace or, with an operand,\n" +
			"of a run; STEP means its newest run. WHAT is workdir, address (containerd's socket) or\n" +
			"containerd (the directory of a private one).",
		Flags: []ucli.Flag{
			&ucli.GenericFlag{Name: "where", Value: new(cli.Optional), Usage: "print the directory of the workspace or of a run, or `WHAT`"},
			&ucli.BoolFlag{Name: "delete", Aliases: []string{"d"}, Usage: "remove the link of a step"},
			cli.JSON, cli.NUL,
		},
		Examples: []string{"pipex-link count \"$run\" && ls workdir/default/step-runs/count/artifacts"},
		Plain:    true,
		Do:       link,
	})
}

func link(c *cli.Call) (int, error) {
	if err := c.Operands(0, 2); err != nil {
		return 0, err
	}
	if c.IsSet("where") {
		if c.Bool("delete") || len(c.Args) > 1 {
			return 0, name.Usage("--where takes one step or run at most, and not --delete")
		}
		return 0, where(c, c.Generic("where").(*cli.Optional).String())
	}
	if c.Bool("delete") && len(c.Args) != 1 {
		return 0, name.Usage("--delete takes one step")
	}
	if len(c.Args) > 0 {
		if err := name.Check("step", c.Args[0]); err != nil {
			return 0, err
		}
	}
	if len(c.Args) > 1 {
		if _, err := name.ParseRef(c.Args[1]); err != nil {
			return 0, err
		}
	}
	place := c.Place()
	if len(c.Args) > 0 {
		traced.Name("", "pipex.step", c.Args[0])
	}
	switch {
	case c.Bool("delete"):
		return 0, run.Unlink(c.Context.Context, place, c.Args[0])
	case len(c.Args) == 2:
		id, err := c.RunID(c.Args[1])
		if err != nil {
			return 0, err
		}
		return 0, run.Link(c.Context.Context, place, c.Args[0], id)
	case len(c.Args) == 1:
		id, err := run.Linked(place, c.Args[0])
		if err != nil {
			return 0, err
		}
		return 0, c.Print(workspace.Link{Step: c.Args[0], RunID: id}, id)
	}
	links, err := run.Links(place)
	for _, l := range links {
		if err := c.Print(l, l.Step, l.RunID); err != nil {
			return 0, err
		}
	}
	return 0, err
}
