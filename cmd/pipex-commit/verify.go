package main

import (
	"errors"
	"fmt"

	"pipex/lib/cli"
	"pipex/lib/name"
	"pipex/lib/progress"
	"pipex/lib/run"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

func verify(c *cli.Call, operand string) error {
	id, err := c.RunID(operand)
	if err != nil {
		return err
	}
	differences, err := run.Verify(c.Context.Context, c.Place(), id)
	return verified(c, id, differences, err)
}

// verified prints what a comparison has found.
func verified(c *cli.Call, id string, differences []tree.Difference, err error) error {
	for _, d := range differences {
		c.Fail(fmt.Errorf("run %q: %s", id, d))
	}
	if err == nil && len(differences) > 0 {
		err = fmt.Errorf("run %q is %w: differences from its manifest: %d", id, workspace.ErrDamaged, len(differences))
	}
	if err != nil {
		return err
	}
	return c.Print(committed{RunID: id}, id)
}

// verifyAll verifies all committed runs.
func verifyAll(c *cli.Call) (int, error) {
	if !c.Bool("verify") || c.Bool("stdin") || c.Bool("allow-failure") || c.Bool("allow-special") || len(c.Args) > 0 {
		return 0, name.Usage("--all goes with --verify, and without RUN: pipex-commit --verify --all")
	}
	ids, err := run.Committed(c.Place())
	if err != nil {
		return 0, err
	}
	work := progress.Begin("verifying", "run")
	defer work.End()
	work.Of(int64(len(ids)), 0)
	foreign := 0
	status, err := c.Each(ids, func(id string) error {
		differences, err := run.Verify(c.Context.Context, c.Place(), id)
		progress.Add("run", 1, 0)
		switch {
		case errors.Is(err, workspace.ErrNoManifest):
			foreign++
			return nil
		case errors.Is(err, workspace.ErrNoRun):
			return nil // removed meanwhile
		}
		return verified(c, id, differences, err)
	})
	if foreign > 0 {
		c.Warn(fmt.Errorf("not verified: %d without a manifest, which another tool has committed", foreign))
	}
	return status, err
}
