// pipex-commit freezes: it publishes runs, atomically and durably.
package main

import (
	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/verb"
	"pipex/lib/workspace"
)

// committed is a result.
type committed struct {
	RunID string `json:"run"`
	*workspace.Artifacts
}

func main() {
	cli.Main(cli.Verb{
		Name:     "pipex-commit",
		Synopsis: []string{"[OPTION]... RUN..."},
		About: "Publish each RUN: its artifacts become read-only, a manifest lists them, and one\n" +
			"rename moves it to runs/RUN, where it survives power loss. Prints each RUN.",
		Flags: []ucli.Flag{
			&ucli.BoolFlag{Name: "allow-failure", Usage: "commit a run whose command failed, too"},
			cli.Stdin, cli.JSON, cli.NUL,
		},
		Examples: []string{"pipex-exec \"$run\" && pipex-commit \"$run\" && pipex-link count \"$run\""},
		Do: func(c *cli.Call) (int, error) {
			ids, err := c.IDs()
			if err == nil && !c.Bool("stdin") {
				err = c.Operands(1, -1)
			}
			if err == nil {
				err = workspace.CheckNames("run", ids)
			}
			if err != nil {
				return 0, err
			}
			place := verb.Place(c.Place())
			return c.Each(ids, func(id string) error {
				m, err := place.Commit(c.Context.Context, id, c.Bool("allow-failure"))
				if err != nil {
					return err
				}
				return c.Print(committed{id, m.Artifacts}, id)
			})
		},
	})
}
