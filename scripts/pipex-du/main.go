// pipex-du says where the disk space of a workspace goes.
package main

import (
	"fmt"
	"os"
	"time"

	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/images"
	"pipex/lib/run/reap"
	"pipex/lib/step"
)

func main() {
	cli.Main(cli.Verb{
		Name:     "pipex-du",
		Synopsis: []string{"[OPTION]... [WORKSPACE]"},
		About: "Print what a workspace occupies on disk: its runs, caches and other files, and the\n" +
			"images of containerd; and how much of that pipex-prune and pipex-image prune would\n" +
			"free. It changes nothing.",
		Flags: []ucli.Flag{
			&ucli.BoolFlag{Name: "all", Usage: "print all workspaces of the workdir"},
			&ucli.BoolFlag{Name: "steps", Usage: "print the runs of each step instead, the largest first"},
			&ucli.StringFlag{Name: "older-than", Usage: "what prune would free with the same option: of what is older than `AGE` (1h for runs, 1d for images)"},
			cli.JSON,
		},
		Examples: []string{"pipex-du", "pipex-du --all --steps", "pipex-du --json | jq -s 'map(.prune) | add'"},
		Do:       du, // not Plain: what a rootless containerd has written is readable only where it runs
	})
}

// How long is waited for a containerd, which this can do without.
const patience = 2 * time.Second

func du(c *cli.Call) (int, error) {
	if err := c.Operands(0, 1); err != nil {
		return 0, err
	}
	ofRuns, ofImages := reap.DefaultAge, 24*time.Hour
	if c.IsSet("older-than") {
		age, err := step.ParseAge(c.String("older-than"))
		if err != nil {
			return 0, err
		}
		ofRuns, ofImages = age, age
	}
	all, err := workspaces(c)
	if err != nil {
		return 0, err
	}
	m, err := measure(c.Context.Context, all, ofRuns, c.Warn)
	if err != nil {
		return 0, err
	}
	if !c.Bool("steps") {
		m.images = measureImages(c, ofImages)
	}
	m.named = c.Bool("all")
	print := m.table
	if c.Bool("json") {
		print = m.lines
	}
	if err := print(os.Stdout, c.Bool("steps")); err != nil {
		return 0, fmt.Errorf("cannot print: %w", err)
	}
	return 0, nil
}

// measureImages returns nil and warns if containerd does not answer.
func measureImages(c *cli.Call, olderThan time.Duration) *images.Space {
	ctx, place := c.Context.Context, c.Place()
	if err := images.Answers(ctx, place.Containerd, min(patience, c.Duration("rpc-timeout"))); err != nil {
		c.Warn(fmt.Errorf("images are left out: %w", err))
		return nil
	}
	space, err := images.Occupied(ctx, place, olderThan)
	c.Warn(err)
	return space
}
