// pipex-report writes what happened in a workspace as one HTML file.
package main

import (
	"errors"
	"fmt"
	"os"

	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/workspace"
)

func main() {
	cli.Main(cli.Verb{
		Name:     "pipex-report",
		Synopsis: []string{"[OPTION]... [WORKSPACE] [STEP|RUN]..."},
		About: "Write one HTML file that shows the steps and open runs of a workspace: a summary,\n" +
			"a table to sort, and for each run its command, why it ran, what it read and wrote, and\n" +
			"the ends of its logs. With STEP or RUN, only these and all that they were made from. The\n" +
			"file needs no other file and no network.",
		Flags: []ucli.Flag{
			&ucli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE`, replaced as a whole, instead of stdout"},
			&ucli.StringFlag{Name: "title", Usage: "use `TEXT` as the title (the workspace's name)"},
		},
		Examples: []string{"pipex-report -o report.html", "pipex-report --title 'Nightly build' >report.html"},
		Plain:    true,
		Do:       report,
	})
}

func report(c *cli.Call) (int, error) {
	ws, runs, err := operands(c)
	if err != nil {
		return 0, err
	}
	rows, nodes, bad, err := read(c.Context.Context, ws, runs)
	if err != nil {
		return 0, err
	}
	c.Warn(bad)
	p, err := newPage(c.Context.Context, ws, rows, nodes)
	if err != nil {
		return 0, err
	}
	p.Whole = len(runs) == 0
	p.Version = c.App.Version
	p.Title, p.Titled = "Workspace "+ws.ID, c.IsSet("title")
	if p.Titled {
		p.Title = cli.Short(c.String("title"), 300)
	}
	if path := c.String("output"); path != "" {
		err = replace(path, p.write)
	} else {
		err = p.write(os.Stdout)
	}
	if err != nil {
		return 0, fmt.Errorf("cannot write the report: %w", err)
	}
	return 0, nil
}

// operands returns the workspace and the runs that are asked for; no runs mean all. A first
// word that is no step and no run, but a workspace, means that.
func operands(c *cli.Call) (ws *workspace.Workspace, runs []workspace.Run, err error) {
	ws, err = c.Place().Open()
	args := c.Args
	if len(args) > 0 {
		if err == nil {
			_, err = ws.ResolveToLook(args[0])
		}
		if err != nil && !errors.Is(err, workspace.ErrAmbiguous) {
			if w, is := c.WorkspaceOperand(args[0]); is {
				ws, args, err = w, args[1:], nil
			}
		}
	}
	for _, arg := range args {
		if err != nil {
			break
		}
		var r workspace.Run
		if r, err = ws.ResolveToLook(arg); err == nil {
			runs = append(runs, r)
		}
	}
	return ws, runs, err
}
