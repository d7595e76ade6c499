// pipex-fetch fetches runs from an OCI registry, and commits them.
package main

import (
	"errors"

	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/name"
	"pipex/lib/registry"
	"pipex/lib/workspace"
)

func main() {
	cli.Main(cli.Verb{
		Name:     "pipex-fetch",
		Synopsis: []string{"[OPTION]... REGISTRY/NAME[:TAG]", "--fingerprint HEX [OPTION]... REGISTRY/NAME"},
		About: "Fetch the runs that pipex-push has sent to an OCI registry, check them, commit those that are\n" +
			"not here, and link the steps to them that were linked there. Or fetch the run that the registry\n" +
			"has for a fingerprint. Prints each RUN.",
		Flags: []ucli.Flag{
			&ucli.StringFlag{Name: "fingerprint", Usage: "fetch only the run whose fingerprint is `HEX`, and link nothing"},
			&ucli.BoolFlag{Name: "no-link", Usage: "link no step"},
			&ucli.BoolFlag{Name: "plain-http", Usage: "use no TLS, as for a registry on loopback"},
		},
		Statuses: []string{
			"0    done",
			"1    no: the registry has no such runs",
			"128  failed: the reason is on stderr; runs that were printed are here",
			"129  wrong usage: nothing was changed",
		},
		Examples: []string{"pipex-fetch registry.example.org/team/words"},
		Plain:    true,
		Do:       fetch,
	})
}

func fetch(c *cli.Call) (int, error) {
	if err := c.Operands(1, 1); err != nil {
		return 0, err
	}
	from, err := registry.Open(c.Args[0], c.Bool("plain-http"))
	if err != nil {
		return 0, err
	}
	place := c.Place()
	if place.Workspace == "" {
		return 0, place.Unnamed
	}
	ws, err := workspace.Create(place.Workdir, place.Workspace)
	if err != nil {
		return 0, err
	}
	ctx := c.Context.Context
	if c.IsSet("fingerprint") {
		if c.String("fingerprint") == "" {
			return 0, name.Usage("--fingerprint takes a fingerprint")
		}
		id, ok, err := from.FetchFingerprint(ctx, ws, c.String("fingerprint"))
		if err != nil || !ok {
			return cli.StatusNo, err
		}
		return 0, c.Print(nil, id)
	}
	err = from.Fetch(ctx, ws, func(f registry.Fetched) error {
		if f.Link != "" && !c.Bool("no-link") {
			if err := ws.Link(ctx, f.Link, f.Run); err != nil {
				return err
			}
		}
		return c.Print(nil, f.Run)
	})
	if errors.Is(err, registry.ErrNone) {
		c.Fail(err)
		return cli.StatusNo, nil
	}
	return 0, err
}
