// pipex-report writes what happened in a workspace as one HTML file.
package main

import (
	"fmt"

	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
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
			cli.OutputFlag,
			&ucli.StringFlag{Name: "title", Usage: "use `TEXT` as the title (the workspace's name)"},
		},
		Examples: []string{"pipex-report -o report.html", "pipex-report --title 'Nightly build' >report.html"},
		Plain:    true,
		Do:       report,
	})
}

func report(c *cli.Call) (int, error) {
	ws, runs, err := c.RunOperands()
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
	if err := cli.Output(c.String("output"), p.write); err != nil {
		return 0, fmt.Errorf("cannot write the report: %w", err)
	}
	return 0, nil
}
