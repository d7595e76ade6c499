// pipex-show shows the steps and open runs of a workspace, or the files of one run.
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
		Name:     "pipex-show",
		Synopsis: []string{"[OPTION]...", "[OPTION]... [WORKSPACE] STEP|RUN", "[OPTION]... WORKSPACE"},
		About: "Without an operand, print a table of the steps in the order in which they run, then of the\n" +
			"open runs, then a total. With STEP or RUN, print the files that the run has produced: size\n" +
			"in bytes, path, / after a directory, target after a symlink. It changes nothing, and\n" +
			"control characters are shown as ?. A running step whose pipex-exec has died is shown as\n" +
			"interrupted.",
		Flags: []ucli.Flag{
			&ucli.BoolFlag{Name: "watch", Usage: "go on until it is interrupted: a table that is kept up to date or, in a pipe, a line for each change"},
			&ucli.BoolFlag{Name: "all", Usage: "show all workspaces of the workdir"},
			cli.JSON,
		},
		Examples: []string{"pipex-show --watch", "pipex-show --json | jq -r 'select(.status == \"failure\") | .runId'"},
		Plain:    true,
		Do:       show,
	})
}

func show(c *cli.Call) (int, error) {
	if err := c.Operands(0, 2); err != nil {
		return 0, err
	}
	if c.Bool("all") && (len(c.Args) > 0 || c.IsSet("workspace")) {
		return 0, name.Usage("--all means every workspace; name none with it")
	}
	out := bufio.NewWriterSize(os.Stdout, 64<<10)
	err := print(c, out)
	if flushed := out.Flush(); flushed != nil {
		return 0, fmt.Errorf("cannot print: %w", flushed)
	}
	return 0, err
}

func print(c *cli.Call, out *bufio.Writer) error {
	var ws *workspace.Workspace
	if len(c.Args) > 0 {
		r, _, err := c.RunOperand(0)
		if err == nil && c.Bool("watch") {
			return name.Usage("--watch shows the steps of a workspace, not the files of run %q", r.ID)
		}
		if err == nil {
			return files(c, out, r)
		}
		is := false
		if ws, is = c.WorkspaceOperand(c.Args[0]); !is || len(c.Args) > 1 {
			return err
		}
	}
	from, err := newSource(c, ws)
	if err != nil {
		return err
	}
	if c.Bool("watch") {
		return watch(c, out, from)
	}
	return steps(c, out, from)
}
