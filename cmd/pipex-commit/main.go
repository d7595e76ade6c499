// pipex-commit publishes runs, atomically and durably.
package main

import (
	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/name"
	"pipex/lib/run"
	"pipex/lib/workspace"
)

// committed is a result as JSON. DurationMs is how long the run's command took.
type committed struct {
	RunID string `json:"run"`
	*workspace.Artifacts
	DurationMs int64 `json:"durationMs,omitempty"`
}

func main() {
	cli.Main(cli.Verb{
		Name:     "pipex-commit",
		Synopsis: []string{"[OPTION]... RUN...", "--verify [OPTION]... RUN...", "--verify --all [OPTION]..."},
		About: "Publish each RUN: its artifacts become read-only, a manifest lists them, and one\n" +
			"rename moves it to runs/RUN, where it survives power loss. Prints each RUN.\n" +
			"With --verify, compare committed runs with their manifests, print the differences\n" +
			"on stderr, and print each RUN that has none.",
		Flags: []ucli.Flag{
			&ucli.BoolFlag{Name: "allow-failure", Usage: "also commit a run whose command failed"},
			&ucli.BoolFlag{Name: "allow-special", Usage: "remove FIFOs, sockets and devices instead of refusing the run"},
			&ucli.BoolFlag{Name: "verify", Usage: "commit nothing, compare committed runs with their manifests"},
			&ucli.BoolFlag{Name: "all", Usage: "with --verify, all committed runs of the workspace"},
			cli.Stdin, cli.JSON, cli.NUL,
		},
		Examples: []string{"pipex-exec \"$run\" && pipex-commit \"$run\" && pipex-link count \"$run\""},
		Do: func(c *cli.Call) (int, error) {
			if c.Bool("all") {
				return verifyAll(c)
			}
			ids, err := c.RunIDs()
			if err == nil && c.Bool("verify") && (c.Bool("allow-failure") || c.Bool("allow-special")) {
				err = name.Usage("--verify commits nothing, so there is nothing to allow")
			}
			if err != nil {
				return 0, err
			}
			if c.Bool("verify") {
				return c.Each(ids, func(operand string) error { return verify(c, operand) })
			}
			return commit(c, ids)
		},
	})
}

// commit publishes each run. A reaper removes what they own in containerd.
func commit(c *cli.Call, ids []string) (int, error) {
	left := false
	status, err := c.Each(ids, func(operand string) error {
		id, err := c.RunID(operand)
		if err != nil {
			return err
		}
		m, owns, err := run.Commit(c.Context.Context, c.Place(), id, run.CommitOptions{
			AllowFailure: c.Bool("allow-failure"), AllowSpecial: c.Bool("allow-special"),
		})
		if err != nil {
			return err
		}
		left = left || owns
		return c.Print(committed{id, m.Artifacts, m.DurationMs}, id)
	})
	if left {
		c.Reap()
	}
	return status, err
}
