package main

import (
	"path/filepath"

	"pipex/lib/cli"
	"pipex/lib/name"
)

// place is a result of --where as JSON.
type place struct {
	RunID string `json:"run,omitempty"`
	Path  string `json:"path"`
}

// where prints where something is, for scripts.
func where(c *cli.Call, what string) error {
	if what != "" && len(c.Args) > 0 {
		return name.Usage("--where=%s takes no operand", what)
	}
	switch what {
	case "":
		return whereRun(c)
	case "workdir":
		dir, err := filepath.Abs(c.Place().Workdir)
		if err != nil {
			return err
		}
		return c.Print(place{Path: dir}, dir)
	case "address":
		p := c.Place()
		if err := p.Reach(c.Context.Context); err != nil {
			return err
		}
		return c.Print(place{Path: p.Socket()}, p.Socket())
	case "containerd":
		dir, err := c.PrivateContainerd()
		if err != nil {
			return err
		}
		return c.Print(place{Path: dir}, dir)
	}
	return name.Usage("--where=%s: workdir, address or containerd is wanted", what)
}

// whereRun prints the directory of a run or, without an operand, of the workspace.
func whereRun(c *cli.Call) error {
	ws, err := c.Place().Open()
	if err != nil {
		return err
	}
	if len(c.Args) == 0 {
		return c.Print(place{Path: ws.Root}, ws.Root)
	}
	r, err := ws.ResolveToLook(c.Args[0])
	if err != nil {
		return err
	}
	return c.Print(place{RunID: r.ID, Path: r.Dir}, r.Dir)
}
