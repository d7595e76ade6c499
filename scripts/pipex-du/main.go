// pipex-du says where the disk space of a workspace goes.
package main

import (
	"fmt"
	"os"
	"time"

	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/images"
	"pipex/lib/step"
	"pipex/lib/workspace"
)

func main() {
	cli.Main(cli.Verb{
		Name:     "pipex-du",
		Synopsis: []string{"[OPTION]... [WORKSPACE]"},
		About: "Print what a workspace occupies on disk: its runs, caches and other files, and the\n" +
			"images of containerd; and how much of that pipex-prune and pipex-image prune would\n" +
			"free. It changes nothing.",
		Flags: []ucli.Flag{
			&ucli.BoolFlag{Name: "steps", Usage: "print the runs of each step instead, the largest first"},
			&ucli.StringFlag{Name: "older-than", Usage: "what prune would free with the same option: of what is older than `AGE` (1h for runs, 1d for images)"},
			cli.JSON,
		},
		Examples: []string{"pipex-du", "pipex-du --steps", "pipex-du --json | jq -s 'map(.prune) | add'"},
		Do:       du,
	})
}

// How long is waited for a containerd, which this can do without.
const patience = 2 * time.Second

func du(c *cli.Call) (int, error) {
	if err := c.Operands(0, 1); err != nil {
		return 0, err
	}
	ws, err := open(c)
	if err != nil {
		return 0, err
	}
	ofRuns, ofImages := time.Hour, 24*time.Hour
	if c.IsSet("older-than") {
		if ofRuns, err = step.ParseAge(c.String("older-than")); err != nil {
			return 0, err
		}
		ofImages = ofRuns
	}
	m, err := measure(c.Context.Context, ws, ofRuns)
	if err != nil {
		return 0, err
	}
	c.Warn(m.unread)
	if !c.Bool("steps") {
		place := c.Place()
		if err := images.Answers(c.Context.Context, place.Containerd, patience); err != nil {
			c.Warn(fmt.Errorf("images are left out: %w", err))
		} else {
			space, err := images.Occupied(c.Context.Context, place, ofImages)
			c.Warn(err)
			m.images = &space
		}
	}
	if err := m.print(os.Stdout, c.Bool("steps"), c.Bool("json")); err != nil {
		return 0, fmt.Errorf("cannot print: %w", err)
	}
	return 0, nil
}

func open(c *cli.Call) (*workspace.Workspace, error) {
	place := c.Place()
	if len(c.Args) > 0 {
		place.Workspace = c.Args[0]
	}
	return place.Open()
}
