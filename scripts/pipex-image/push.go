package main

import (
	"pipex/lib/cli"
	"pipex/lib/pull"
)

func push(c *cli.Call) (int, error) {
	if err := c.Operands(1, 2); err != nil {
		return 0, err
	}
	opt := pull.Options{HostsDir: c.String(cli.HostsDir.Name)}
	full, digest, err := opt.Push(c.Context.Context, c.Place().Containerd, c.Args[0], c.Args[len(c.Args)-1])
	if err != nil {
		return 0, err
	}
	return 0, c.Print(nil, full+"@"+digest)
}
