// pipex-exec does: it runs the command of a prepared run in its container.
package main

import (
	"errors"
	"os"

	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/secret"
	"pipex/lib/step"
	"pipex/lib/verb"
)

func main() {
	if os.Args[0] == secret.Program {
		secret.Main(os.Args[1:])
	}
	cli.Main(cli.Verb{
		Name:     "pipex-exec",
		Synopsis: []string{"[OPTION]... RUN [-- COMMAND [ARG]...]"},
		About: "Run the prepared command of RUN, any number of times on one writable layer. Its\n" +
			"output is passed on byte for byte and kept in stdout.log and stderr.log. A COMMAND\n" +
			"replaces the prepared one this time only and does not decide the run's result.",
		Flags: []ucli.Flag{
			&ucli.BoolFlag{Name: "interactive", Aliases: []string{"i"}, Usage: "pass standard input on; it is empty otherwise"},
			&ucli.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "give the command a terminal, which follows the caller's"},
			&ucli.StringFlag{Name: "log-max", Usage: "keep the first `SIZE` of each log, for this time"},
			&ucli.StringFlag{Name: "network", Usage: "`NET` for this time: none, host, bridge, cni:NAME"},
			&ucli.DurationFlag{Name: "timeout", Usage: "end the command after `TIME`, for this time"},
			&ucli.DurationFlag{Name: "stop-grace", Usage: "`TIME` between SIGTERM and SIGKILL when the timeout is over (10s)", Value: verb.DefaultGrace},
		},
		Statuses: []string{
			"0-255  the command's own",
			"124    timed out and was ended",
			"125    pipex-exec itself failed, wrong usage included",
			"126    the command cannot be executed",
			"127    there is no such command",
			"128+N  the command was ended by signal N",
		},
		Examples: []string{"pipex-exec --network host \"$run\" -- apk add curl && pipex-exec \"$run\""},
		Command:  true,
		Exec:     true,
		Do:       exec,
	})
}

func exec(c *cli.Call) (int, error) {
	if err := c.Operands(1, 1); err != nil {
		return 0, err
	}
	timeout, err := c.Timeout()
	if err != nil {
		return 0, err
	}
	network, err := step.ParseNetwork(c.String("network"))
	if err != nil {
		return 0, err
	}
	var logMax step.Size
	if c.IsSet("log-max") {
		if logMax, err = step.ParseSize(c.String("log-max")); err != nil {
			return 0, err
		}
	}
	e := verb.Exec{
		Place: verb.Place(c.Place()), RunID: c.Args[0], Cmd: c.Command, Network: network, Timeout: timeout, Terminal: c.Bool("tty"), LogMax: int64(logMax),
		Grace: c.Duration("stop-grace"), Stdout: os.Stdout, Stderr: os.Stderr, Signals: c.Signals,
	}
	if e.EnvProgram, err = os.Executable(); err != nil {
		return 0, err
	}
	if c.Bool("interactive") {
		e.Stdin = os.Stdin
	}
	status, err := e.Do(c.Context.Context)
	var interrupted *verb.InterruptedError
	if errors.As(err, &interrupted) {
		c.Fail(err)
		return 128 + int(interrupted.Signal), nil
	}
	return status, err
}
