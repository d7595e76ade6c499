// pipex-prepare creates an open run of a step and prints its id. It pins everything that could
// change: images, inputs and host paths.
package main

import (
	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/prepare"
)

func main() {
	cli.Main(cli.Verb{
		Name:     "pipex-prepare",
		Synopsis: []string{"[--step STEP] [OPTION]... [-- COMMAND [ARG]...]"},
		About: "Create an open run: image, inputs and host paths are resolved now and recorded in\n" +
			"staging/RUN/meta.json. Prints RUN, for pipex-exec, pipex-commit and pipex-discard.",
		Flags: append(cli.PrepareFlags(),
			&ucli.BoolFlag{Name: "explain", Usage: "create nothing, print what differs from the step's run; exit 3 if a run has this fingerprint"},
			&ucli.BoolFlag{Name: "fingerprint", Usage: "create nothing, print the fingerprint, with --json also what it is computed from"},
			cli.JSON, cli.NUL),
		Statuses: []string{
			"0    done: the printed run is open",
			"1    no: no such input",
			"3    with --cached or --explain: a committed run has this fingerprint; nothing was created",
			"128  failed: the reason is on stderr, and nothing is half done",
			"129  wrong usage: nothing was changed",
		},
		Examples: []string{"run=$(pipex-prepare --step count --image busybox --input lines \\", "    -- sh -c 'wc -l </input/lines/all >/output/n') && pipex-exec \"$run\""},
		Command:  true,
		Waits:    true,
		Do:       run,
	})
}

func run(c *cli.Call) (int, error) {
	if err := c.Operands(0, 0); err != nil {
		return 0, err
	}
	spec, err := c.Spec()
	if err != nil {
		return 0, err
	}
	opt := prepare.Options{
		Spec: *spec, RunID: c.String("run-id"), Cached: c.Bool("cached"), Caller: c.Caller(),
	}
	opt.Fetch = prepare.FetchBy(c.Puller())
	if c.Bool("explain") || c.Bool("fingerprint") {
		return explain(c, opt)
	}
	done, err := prepare.Prepare(c.Context.Context, c.Place(), opt)
	if err != nil {
		return 0, err
	}
	return status(done.UpToDate), c.Print(done, done.RunID)
}

func status(upToDate bool) int {
	if upToDate {
		return cli.StatusUpToDate
	}
	return cli.StatusDone
}
