// pipex-shell gives a shell in a container that sees what a run saw.
package main

import (
	"errors"
	"os"

	ucli "github.com/urfave/cli/v2"
	"golang.org/x/term"

	"pipex/lib/cli"
	"pipex/lib/exec"
	"pipex/lib/prepare"
	"pipex/lib/shell"
	"pipex/lib/step"
)

func main() {
	exec.SecretProgram()
	cli.Main(cli.Verb{
		Name:     "pipex-shell",
		Synopsis: []string{"[OPTION]... STEP|RUN [-- COMMAND [ARG]...]"},
		About: "Give a shell, or execute COMMAND, in a container that sees what a run saw and wrote:\n" +
			"its image, variables, user, inputs, mounts, caches and artifacts and, while the run is\n" +
			"open, its file system. The run does not change: what you write goes to a copy that is\n" +
			"removed at the end. Standard input is passed on.",
		Flags: []ucli.Flag{
			&ucli.StringFlag{Name: "network", Usage: "network `NET` instead of the step's: none, host, bridge, cni:NAME"},
			&ucli.BoolFlag{Name: "write-caches", Usage: "let the command write to the caches that the step could write to"},
			cli.HostsDir,
		},
		Statuses: []string{
			"0-255  the command's own status",
			"125    pipex-shell itself failed, wrong usage included",
			"126    the command is not executable",
			"127    the command does not exist",
			"128+N  the command was ended by signal N",
		},
		Examples: []string{"pipex-shell count", "pipex-shell count -- ls -l /input /output"},
		Command:  true,
		Failed:   exec.FailedCode,
		Do:       do,
	})
}

func do(c *cli.Call) (int, error) {
	if err := c.Operands(1, 1); err != nil {
		return 0, err
	}
	network, err := step.ParseNetwork(c.String("network"))
	if err != nil {
		return 0, err
	}
	place := c.Place()
	id, err := c.RunToLookAt(c.Args[0])
	if err != nil {
		return 0, err
	}
	place.Warn = func(err error) {
		if why := new(exec.ReasonError); !errors.As(err, &why) { // the shell's status is enough
			c.Warn(err)
		}
	}
	opt := shell.Options{WriteCaches: c.Bool("write-caches"), Fetch: prepare.FetchBy(c.Puller())}
	opt.Options = exec.Options{
		Cmd: c.Command, Network: network, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Lookup: os.LookupEnv, Signals: c.Signals,
		Terminal: term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd())),
	}
	if opt.EnvProgram, err = os.Executable(); err != nil {
		return 0, err
	}
	status, err := shell.Run(c.Context.Context, place, id, opt)
	var interrupted *exec.InterruptedError
	if errors.As(err, &interrupted) {
		c.Fail(err)
		return 128 + int(interrupted.Signal), nil
	}
	return status, err
}
