// pipex-show shows the steps and open runs of a workspace, or the files of one run.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"

	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/run"
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
		Flags:    []ucli.Flag{cli.JSON},
		Examples: []string{"pipex-show", "pipex-show --json | jq -r 'select(.status == \"failure\") | .runId'"},
		Plain:    true,
		Do:       show,
	})
}

func show(c *cli.Call) (int, error) {
	if err := c.Operands(0, 2); err != nil {
		return 0, err
	}
	place, args := c.Place(), c.Args
	if len(args) == 2 {
		place.Workspace, args = args[0], args[1:]
	}
	ws, err := place.Open()
	out := bufio.NewWriterSize(os.Stdout, 64<<10)
	switch {
	case len(args) == 0 && err == nil:
		err = steps(c, out, ws)
	case len(args) == 1:
		var r workspace.Run
		if err == nil {
			r, err = find(ws, args[0])
		}
		if err == nil {
			err = files(c, out, r)
		} else if named, is := otherWorkspace(place, c.Args); is {
			err = steps(c, out, named)
		}
	}
	if flushed := out.Flush(); flushed != nil {
		return 0, fmt.Errorf("cannot print: %w", flushed)
	}
	return 0, err
}

// otherWorkspace opens the workspace that the only operand names.
func otherWorkspace(place run.Place, args []string) (*workspace.Workspace, bool) {
	if len(args) != 1 {
		return nil, false
	}
	place.Workspace = args[0]
	ws, err := place.Open()
	return ws, err == nil
}

// find returns the run that STEP is linked to, or RUN.
func find(ws *workspace.Workspace, operand string) (workspace.Run, error) {
	id, err := ws.Linked(operand)
	if errors.Is(err, workspace.ErrNoStep) {
		id, err = operand, nil
	}
	if err != nil {
		return workspace.Run{}, err
	}
	r, err := ws.Run(id)
	if errors.Is(err, workspace.ErrNoRun) {
		err = fmt.Errorf("no step or run %q in workspace %q; pipex-show lists steps, pipex-ls -r runs: %w", operand, ws.ID, err)
	}
	return r, err
}
