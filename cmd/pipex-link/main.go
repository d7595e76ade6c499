// pipex-link points a step at a committed run.
package main

import (
	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/name"
	"pipex/lib/run"
	"pipex/lib/workspace"
)

func main() {
	cli.Main(cli.Verb{
		Name:     "pipex-link",
		Synopsis: []string{"[OPTION]... STEP RUN", "[OPTION]... STEP", "[OPTION]...", "[OPTION]... --delete STEP"},
		About: "With STEP and RUN, point STEP at the committed RUN, atomically. With STEP, print the\n" +
			"run that it points at. Without operands, list STEP<TAB>RUN. With --delete, remove the\n" +
			"link of STEP, never the run.",
		Flags: []ucli.Flag{
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
	if c.Bool("delete") && len(c.Args) != 1 {
		return 0, name.Usage("--delete takes one step")
	}
	for i, kind := range []string{"step", "run"} {
		if i < len(c.Args) {
			if err := name.Check(kind, c.Args[i]); err != nil {
				return 0, err
			}
		}
	}
	place := c.Place()
	switch {
	case c.Bool("delete"):
		return 0, run.Unlink(c.Context.Context, place, c.Args[0])
	case len(c.Args) == 2:
		return 0, run.Link(c.Context.Context, place, c.Args[0], c.Args[1])
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
