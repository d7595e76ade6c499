// pipex-show shows the steps and open runs of a workspace, or the files of one run.
package main

import (
	"bufio"
	"fmt"
	"os"

	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
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
	out := bufio.NewWriterSize(os.Stdout, 64<<10)
	err := print(c, out)
	if flushed := out.Flush(); flushed != nil {
		return 0, fmt.Errorf("cannot print: %w", flushed)
	}
	return 0, err
}

func print(c *cli.Call, out *bufio.Writer) error {
	if len(c.Args) == 0 {
		ws, err := c.Place().Open()
		if err != nil {
			return err
		}
		return steps(c, out, ws)
	}
	r, _, err := c.RunOperand(0)
	if err == nil {
		return files(c, out, r)
	}
	if ws, is := c.WorkspaceOperand(c.Args[0]); is && len(c.Args) == 1 {
		return steps(c, out, ws)
	}
	return err
}
