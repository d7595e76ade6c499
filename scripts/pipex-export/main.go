// pipex-export copies what runs have produced, or writes it in a form that other tools read.
package main

import (
	"context"
	"fmt"
	"slices"

	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/name"
	"pipex/lib/progress"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

func main() {
	cli.Main(cli.Verb{
		Name: "pipex-export",
		Synopsis: []string{
			"[OPTION]... [WORKSPACE] STEP|RUN DEST",
			"--format ro-crate [OPTION]... [WORKSPACE] [STEP|RUN]... DEST",
			"--format in-toto [OPTION]... [WORKSPACE] [STEP|RUN]...",
		},
		About: "Copy what a run has produced to the directory DEST, which must be missing or empty and\n" +
			"gets its content all at once; or make it a Workflow Run RO-Crate of runs. Or print SLSA\n" +
			"provenance of runs, as in-toto statements. A run's id is that run alone, the name of a\n" +
			"step is its newest run and all that it was made from, none is the whole workspace.",
		Flags: []ucli.Flag{
			&ucli.StringFlag{Name: "format", Usage: "`FORMAT` is files (the default), ro-crate or in-toto", Value: "files"},
			&ucli.StringFlag{Name: "license", Usage: "ro-crate: what is in it has the licence at `URL`"},
			&ucli.StringFlag{Name: "key", Usage: "in-toto: sign with the ed25519 key in `FILE`, of OpenSSH or PKCS #8"},
			&ucli.StringFlag{Name: "builder", Usage: "in-toto: `URI` of who runs the containers (urn:pipex:host:HOST)"},
			cli.OutputFlag,
		},
		Examples: []string{"pipex-export words copy", "pipex-export --format ro-crate report crate", "pipex-export --format in-toto --key ~/.ssh/id_ed25519 report -o report.intoto.jsonl"},
		Plain:    true,
		Do:       export,
	})
}

// formats are the options that each format has.
var formats = map[string][]string{"files": {}, "ro-crate": {"license"}, "in-toto": {"key", "builder", "output"}}

func export(c *cli.Call) (int, error) {
	format := c.String("format")
	options, known := formats[format]
	if !known {
		return 0, name.Usage("%q is no format: files, ro-crate or in-toto", format)
	}
	for _, option := range []string{"license", "key", "builder", "output"} {
		if c.IsSet(option) && !slices.Contains(options, option) {
			return 0, name.Usage("--%s is not for --format %s", option, format)
		}
	}
	switch format {
	case "ro-crate":
		return 0, crates(c)
	case "in-toto":
		return 0, statements(c)
	}
	return 0, files(c)
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
	m, err := run.Meta()
	if err == nil && m.Status == workspace.Running {
		return fmt.Errorf("run %q is %w; export it when it has ended", run.ID, workspace.ErrRunning)
	}
	work := progress.Begin("copying", "file")
	defer work.End()
	if err == nil && m.Artifacts != nil {
		work.Of(int64(m.Artifacts.Files), m.Artifacts.Bytes)
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
