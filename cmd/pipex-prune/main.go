// pipex-prune removes what nothing refers to, in the workspace and in containerd.
package main

import (
	"fmt"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/name"
	"pipex/lib/run/reap"
	"pipex/lib/step"
)

// pruned is a result as JSON.
type pruned struct {
	RunID string `json:"run"`
}

func main() {
	cli.Main(cli.Verb{
		Name:     "pipex-prune",
		Synopsis: []string{"[OPTION]..."},
		About: "Remove committed runs that are older than an hour, unless a step is linked to them, an\n" +
			"open run reads them, or --keep names them. Then remove what containerd holds for runs\n" +
			"that are not open. Prints each removed RUN.",
		Flags: []ucli.Flag{
			&ucli.StringSliceFlag{Name: "keep", Usage: "also keep `RUN`"},
			cli.Stdin,
			&ucli.IntFlag{Name: "keep-last", Usage: "keep the latest `N` runs of each step"},
			&ucli.StringFlag{Name: "older-than", Usage: "remove only what is older than `AGE`, such as 90s, 12h or 30d; 0s for everything", Value: "1h"},
			&ucli.BoolFlag{Name: "staging", Usage: "also remove open runs that are old enough and not in use"},
			&ucli.BoolFlag{Name: "failed", Usage: "also remove failed open runs of steps that have succeeded since, whatever their age"},
			&ucli.BoolFlag{Name: "reap", Usage: "remove only what other verbs have left in containerd"},
			&ucli.DurationFlag{Name: "linger", Usage: "with --reap, wait so much `TIME` for more of it"},
			&ucli.StringFlag{Name: "end", Usage: "only kill the container of open `RUN` and remove what it owns in containerd"},
			&ucli.StringFlag{Name: "job", Usage: "only remove what batch job `JOB`, which has ended, has left in this containerd, such as slurm:12"},
			&ucli.BoolFlag{Name: "dry-run", Aliases: []string{"n"}, Usage: "remove nothing, print what would be removed"},
			cli.JSON, cli.NUL,
		},
		Examples: []string{"pipex-prune --keep-last 3 --older-than 7d"},
		Waits:    true,
		Do:       prune,
	})
}

func prune(c *cli.Call) (int, error) {
	if err := c.Operands(0, 0); err != nil {
		return 0, err
	}
	if c.Bool("reap") || c.IsSet("linger") || c.IsSet("end") || c.IsSet("job") {
		return 0, reapOnly(c)
	}
	age, err := step.ParseAge(c.String("older-than"))
	if err != nil {
		return 0, err
	}
	if c.Int("keep-last") < 0 {
		return 0, name.Usage("--keep-last %d is negative", c.Int("keep-last"))
	}
	keep, err := c.IDs()
	if err == nil {
		keep = append(keep, c.StringSlice("keep")...)
		err = name.CheckRefs(keep)
	}
	if err != nil {
		return 0, err
	}
	for i := range keep {
		if keep[i], err = c.RunID(keep[i]); err != nil {
			return 0, fmt.Errorf("cannot keep %q: %w", keep[i], err)
		}
	}
	if age == 0 {
		age = reap.Now
	}
	var printing error
	kept, err := reap.Prune(c.Context.Context, c.Place(), reap.PruneOptions{
		Keep: keep, KeepLast: c.Int("keep-last"), OlderThan: age, Staging: c.Bool("staging"), Failed: c.Bool("failed"), DryRun: c.Bool("dry-run"),
	}, func(id string) {
		if err := c.Print(pruned{id}, id); err != nil {
			printing = err
		}
	})
	if text := left(kept, c.String("older-than")); text != "" {
		c.Say("kept %s", text)
	}
	if err == nil {
		err = printing
	}
	return 0, err
}

// reapOnly does a part of prune's work for another verb.
func reapOnly(c *cli.Call) error {
	ctx, place, run := c.Context.Context, c.Place(), c.String("end")
	switch {
	case c.IsSet("job"):
		if c.String("job") == "" || c.Bool("reap") || run != "" {
			return name.Usage("--job JOB stands alone")
		}
		return reap.Job(ctx, place, c.String("job"))
	case run != "" && !c.Bool("reap"):
		if err := name.Check("run", run); err != nil {
			return err
		}
		return reap.End(ctx, place, run)
	case !c.Bool("reap") || run != "" || c.Duration("linger") < 0:
		return name.Usage("--linger TIME goes with --reap, and --end RUN stands alone")
	case c.Duration("linger") > 0:
		return reap.Serve(ctx, place, c.Duration("linger"))
	}
	return reap.Work(ctx, place)
}

// left says in words what was kept, why, and what removes it.
func left(k reap.Kept, age string) string {
	var young, parts []string
	if k.Runs > 0 {
		young = append(young, count(k.Runs, "run"))
	}
	if k.Open > 0 {
		young = append(young, count(k.Open, "open run"))
	}
	if len(young) > 0 {
		parts = append(parts, fmt.Sprintf("%s younger than %s; --older-than 0s removes them", strings.Join(young, " and "), age))
	}
	if k.Failed > 0 {
		what := " of steps that have succeeded since; --failed removes them"
		if k.Failed == 1 {
			what = " of a step that has succeeded since; --failed removes it"
		}
		parts = append(parts, count(k.Failed, "failed run")+what)
	}
	if k.Unreadable > 0 {
		parts = append(parts, count(k.Unreadable, "run")+" whose record cannot be read; --older-than 0s, without --keep-last, removes them")
	}
	return strings.Join(parts, "; and ")
}

func count(n int, what string) string {
	if n > 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
