// pipex-push sends committed runs to an OCI registry.
package main

import (
	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/registry"
	"pipex/lib/workspace"
)

func main() {
	cli.Main(cli.Verb{
		Name:     "pipex-push",
		Synopsis: []string{"[OPTION]... [STEP|RUN]... REGISTRY/NAME[:TAG]"},
		About: "Send committed runs to an OCI registry, for pipex-fetch on another machine: those named, or\n" +
			"the runs of all steps. What the registry has is not sent again. TAG (latest) lists them, and is\n" +
			"written last. Prints each RUN.",
		Flags: []ucli.Flag{
			&ucli.BoolFlag{Name: "plain-http", Usage: "use no TLS, as for a registry on loopback"},
		},
		Examples: []string{"pipex-push registry.example.org/team/words", "pipex-push words registry.example.org/team/words:1"},
		Plain:    true,
		Do:       push,
	})
}

func push(c *cli.Call) (int, error) {
	if err := c.Operands(1, -1); err != nil {
		return 0, err
	}
	last := len(c.Args) - 1
	to, err := registry.Open(c.Args[last], c.Bool("plain-http"))
	if err != nil {
		return 0, err
	}
	ws, err := c.Place().Open()
	if err != nil {
		return 0, err
	}
	runs, links, err := registry.Steps(ws)
	if err != nil {
		return 0, err
	}
	if last > 0 {
		runs = nil
	}
	for _, arg := range c.Args[:last] {
		id, err := c.RunID(arg)
		var r workspace.Run
		if linked, unlinked := ws.Linked(arg); unlinked == nil {
			id, err = linked, nil // a step: what it is linked to, and no newer run that failed
		}
		if err == nil {
			r, err = ws.Run(id)
		}
		if err != nil {
			return 0, err
		}
		runs = append(runs, r)
	}
	if err := to.Push(c.Context.Context, ws, runs, links); err != nil {
		return 0, err
	}
	for _, r := range runs {
		if err := c.Print(nil, r.ID); err != nil {
			return 0, err
		}
	}
	return 0, nil
}
