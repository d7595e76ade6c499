// pipex-link names: it points a step at a committed run. It imports nothing of
// containerd's, and so starts in a moment.
package main

import (
	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/step"
	"pipex/lib/workspace"
)

func main() {
	cli.Main(cli.Verb{
		Name:     "pipex-link",
		Synopsis: []string{"[OPTION]... STEP RUN", "[OPTION]... STEP", "[OPTION]...", "[OPTION]... --delete STEP"},
		About: "Point STEP at the committed RUN, atomically; print the run that STEP points at;\n" +
			"list STEP<TAB>RUN; or remove the name, never the run.",
		Flags: []ucli.Flag{
			&ucli.BoolFlag{Name: "delete", Aliases: []string{"d"}, Usage: "remove the name of a step"},
			cli.JSON, cli.NUL,
		},
		Examples: []string{"pipex-link count \"$run\" && ls \"workdir/default/step-runs/$(echo count)/artifacts\""},
		Plain:    true,
		Do:       link,
	})
}

func link(c *cli.Call) (int, error) {
	if err := c.Operands(0, 2); err != nil {
		return 0, err
	}
	if c.Bool("delete") && len(c.Args) != 1 {
		return 0, step.Usage("--delete takes one step")
	}
	for i, kind := range []string{"step", "run"} {
		if i < len(c.Args) {
			if err := workspace.CheckName(kind, c.Args[i]); err != nil {
				return 0, err
			}
		}
	}
	place := c.Place()
	ws, err := workspace.Open(place.Workdir, place.Workspace)
	if err != nil {
		return 0, err
	}
	switch {
	case c.Bool("delete"):
		return 0, ws.Unlink(c.Context.Context, c.Args[0])
	case len(c.Args) == 2:
		return 0, ws.Link(c.Context.Context, c.Args[0], c.Args[1])
	case len(c.Args) == 1:
		id, err := ws.Linked(c.Args[0])
		if err != nil {
			return 0, err
		}
		return 0, c.Print(workspace.Link{Step: c.Args[0], RunID: id}, id)
	}
	links, err := ws.Links()
	for _, l := range links {
		if err := c.Print(l, l.Step, l.RunID); err != nil {
			return 0, err
		}
	}
	return 0, err
}
