// pipex-prune reclaims: it removes what nothing refers to, in both halves.
package main

import (
	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/step"
	"pipex/lib/verb"
	"pipex/lib/workspace"
)

// pruned is a result.
type pruned struct {
	RunID string `json:"run"`
}

func main() {
	cli.Main(cli.Verb{
		Name:     "pipex-prune",
		Synopsis: []string{"[OPTION]..."},
		About: "Remove the committed runs that nothing refers to: no step's link, no open run's\n" +
			"inputs, not the caller. Then drop what containerd holds for runs that are not open.\n" +
			"Prints each removed RUN.",
		Flags: []ucli.Flag{
			&ucli.StringSliceFlag{Name: "keep", Usage: "keep `RUN`, too"},
			cli.Stdin,
			&ucli.IntFlag{Name: "keep-last", Usage: "keep the latest `N` runs of each step"},
			&ucli.StringFlag{Name: "older-than", Usage: "only what is older than `AGE`, such as 12h or 30d"},
			&ucli.BoolFlag{Name: "staging", Usage: "reclaim open runs too that no process holds and that run no task"},
			&ucli.BoolFlag{Name: "dry-run", Aliases: []string{"n"}, Usage: "remove nothing, print what would be removed"},
			cli.JSON, cli.NUL,
		},
		Examples: []string{"pipex-prune --keep-last 3 --older-than 7d"},
		Do:       prune,
	})
}

func prune(c *cli.Call) (int, error) {
	if err := c.Operands(0, 0); err != nil {
		return 0, err
	}
	age, err := step.ParseAge(c.String("older-than"))
	if err != nil {
		return 0, err
	}
	if c.Int("keep-last") < 0 {
		return 0, step.Usage("--keep-last %d is negative", c.Int("keep-last"))
	}
	keep, err := c.IDs()
	if err == nil {
		keep = append(keep, c.StringSlice("keep")...)
		err = workspace.CheckNames("run", keep)
	}
	if err != nil {
		return 0, err
	}
	var printing error
	err = verb.Prune{
		Place:   verb.Place(c.Place()),
		Staging: c.Bool("staging"),
		PruneOptions: workspace.PruneOptions{
			Keep: keep, KeepLast: c.Int("keep-last"), OlderThan: age, DryRun: c.Bool("dry-run"),
		},
	}.Do(c.Context.Context, func(id string) {
		if err := c.Print(pruned{id}, id); err != nil {
			printing = err
		}
	})
	if err == nil {
		err = printing
	}
	return 0, err
}
