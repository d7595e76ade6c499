// pipex-discard removes open runs, as if they had never been prepared.
package main

import (
	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/run/reap"
)

func main() {
	cli.Main(cli.Verb{
		Name:     "pipex-discard",
		Synopsis: []string{"[OPTION]... RUN..."},
		About: "Remove each open RUN: kill its container, remove what it owns in containerd, and\n" +
			"remove staging/RUN. A run that does not exist is success; a committed one is refused.",
		Flags:    []ucli.Flag{cli.Stdin, cli.NUL},
		Examples: []string{"pipex-exec \"$run\" || pipex-discard \"$run\""},
		Do: func(c *cli.Call) (int, error) {
			ids, err := c.RunIDs()
			if err != nil {
				return 0, err
			}
			return c.Each(ids, func(id string) error { return reap.Discard(c.Context.Context, c.Place(), id) })
		},
	})
}
