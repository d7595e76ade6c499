// pipex-export copies what runs have produced.
package main

import (
	"context"
	"fmt"

	"pipex/lib/cli"
	"pipex/lib/name"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

func main() {
	cli.Main(cli.Verb{
		Name:     "pipex-export",
		Synopsis: []string{"[WORKSPACE] STEP|RUN DEST"},
		About: "Copy what a run has produced to the directory DEST, which must be missing or empty and\n" +
			"gets its content all at once. Symlinks stay symlinks, the files belong to the caller, and\n" +
			"setuid bits and special files are left out.",
		Examples: []string{"pipex-export words copy"},
		Plain:    true,
		Do:       func(c *cli.Call) (int, error) { return 0, files(c) },
	})
}

func files(c *cli.Call) error {
	if len(c.Args) < 2 {
		return name.Usage("a STEP or RUN and DEST are wanted")
	}
	if err := c.Operands(2, 3); err != nil {
		return err
	}
	run, dest, err := c.RunOperand(1)
	if err != nil {
		return err
	}
	c.SayWhich(c.Args[len(c.Args)-2], run)
	// While a step changes the files, no copy of them can be trusted.
	if m, err := run.Meta(); err == nil && m.Status == workspace.Running {
		return fmt.Errorf("run %q is %w; export it when it has ended", run.ID, workspace.ErrRunning)
	}
	return directory(c, dest[0], func(ctx context.Context, dir string) error { return tree.Export(ctx, dir, run.Artifacts()) })
}

func directory(c *cli.Call, dest string, fill func(ctx context.Context, dir string) error) error {
	if dest == "" {
		return name.Usage("DEST is empty")
	}
	if err := cli.Directory(dest, func(dir string) error { return fill(c.Context.Context, dir) }); err != nil {
		return fmt.Errorf("cannot export to %q: %w", dest, err)
	}
	return nil
}
