// pipex-discard removes open runs, as if they had never been prepared.
package main

import (
	"errors"

	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/run"
	"pipex/lib/workspace"
)

func main() {
	cli.Main(cli.Verb{
		Name:     "pipex-discard",
		Synopsis: []string{"[OPTION]... RUN..."},
		About: "Remove each open RUN: kill its container, remove what it owns in containerd, and\n" +
			"remove staging/RUN. A run that is gone is success; a committed one is refused.",
		Flags:    []ucli.Flag{cli.Stdin, cli.NUL},
		Examples: []string{"pipex-exec \"$run\" || pipex-discard \"$run\""},
		Do: func(c *cli.Call) (int, error) {
			ids, err := c.RunIDs()
			if err != nil {
				return 0, err
			}
			left := false
			status, err := c.Each(ids, func(operand string) error {
				owns, err := discard(c, operand)
				left = left || owns
				return err
			})
			if left {
				c.Reap()
			}
			return status, err
		},
	})
}

// discard removes a run, and reports whether it has left something for a reaper. If no run has this
// name, it may be that of one that is gone, but also a mistake: see [workspace.Workspace.Gone].
func discard(c *cli.Call, operand string) (left bool, err error) {
	id, err := c.RunID(operand)
	if errors.Is(err, workspace.ErrNoRun) {
		if ws, opening := c.Place().Open(); opening == nil && ws.Gone(operand) {
			return false, nil
		}
	}
	if err != nil {
		return false, err
	}
	return run.Discard(c.Context.Context, c.Place(), id, c.End)
}
