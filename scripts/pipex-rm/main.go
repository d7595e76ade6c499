// pipex-rm removes workspaces, or caches of one, with what they own in containerd.
package main

import (
	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/name"
	"pipex/lib/run/reap"
)

func main() {
	cli.Main(cli.Verb{
		Name:     "pipex-rm",
		Synopsis: []string{"[OPTION]... WORKSPACE...", "[OPTION]... --cache NAME..."},
		About: "Remove each WORKSPACE with its runs and caches and what they own in containerd; or, with\n" +
			"--cache, each cache NAME of the workspace. What is in use is refused. There is no way back.",
		Flags: []ucli.Flag{
			&ucli.BoolFlag{Name: "cache", Usage: "remove caches of the workspace, not the workspace"},
		},
		Statuses: []string{
			"0    done",
			"1    no: no such workspace or cache; in use",
			"128  failed: the reason is on stderr",
			"129  wrong usage: nothing was changed",
		},
		Examples: []string{"pipex-rm trial", "pipex-rm --workspace trial --cache npm"},
		Do:       remove,
	})
}

func remove(c *cli.Call) (int, error) {
	if err := c.Operands(1, -1); err != nil {
		return 0, err
	}
	kind := "workspace"
	if c.Bool("cache") {
		kind = "cache"
	} else if c.IsSet("workspace") {
		return 0, name.Usage("the workspace is an operand, without --workspace: pipex-rm WORKSPACE")
	}
	if err := name.CheckAll(kind, c.Args); err != nil {
		return 0, err
	}
	return c.Each(c.Args, func(id string) error {
		place := c.Place()
		if c.Bool("cache") {
			return reap.RemoveCache(c.Context.Context, place, id)
		}
		place.Workspace = id
		return reap.Remove(c.Context.Context, place)
	})
}
