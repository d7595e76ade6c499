// pipex-exec runs the command of a prepared run in its container.
package main

import (
	"errors"
	"os"

	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/exec"
	"pipex/lib/name"
	"pipex/lib/step"
)

func main() {
	exec.SecretProgram()
	cli.Main(cli.Verb{
		Name:     "pipex-exec",
		Synopsis: []string{"[OPTION]... RUN [-- COMMAND [ARG]...]"},
		About: "Run the prepared command of RUN in a container. Its output goes to stdout and stderr,\n" +
			"byte for byte, and to stdout.log and stderr.log. A run can be executed any number of\n" +
			"times on the same writable layer. A COMMAND replaces the prepared one for this exec\n" +
			"only and does not decide the run's result.",
		Flags: []ucli.Flag{
			&ucli.BoolFlag{Name: "interactive", Aliases: []string{"i"}, Usage: "pass standard input on; it is empty otherwise"},
			&ucli.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "give the command a terminal of the size of the caller's"},
			&ucli.BoolFlag{Name: "once", Usage: "remove all that containerd holds for RUN before it ends"},
			&ucli.StringFlag{Name: "pull", Usage: "`WHEN` to fetch an image that this containerd does not have: missing, never", Value: string(step.PullMissing)},
			cli.HostsDir,
			&ucli.StringFlag{Name: "containerd", Usage: "use the private containerd in `DIR`, and start it if it does not run"},
			&ucli.StringFlag{Name: "cgroup-parent", Usage: "self: put the container below the control `GROUP` of the caller"},
			&ucli.StringFlag{Name: "log-max", Usage: "keep only the first `SIZE` of each log, for this exec"},
			&ucli.StringFlag{Name: "network", Usage: "network `NET` for this exec: none, host, bridge, cni:NAME"},
			&ucli.DurationFlag{Name: "timeout", Usage: "end the command after `TIME`, for this exec"},
			&ucli.DurationFlag{Name: "stop-grace", Usage: "`TIME` between SIGTERM and SIGKILL after the timeout (10s)", Value: exec.DefaultGrace},
		},
		Statuses: []string{
			"0-255  the command's own status",
			"124    the command timed out and was ended",
			"125    pipex-exec itself failed, wrong usage included",
			"126    the command is not executable",
			"127    the command does not exist",
			"128+N  the command was ended by signal N",
		},
		Examples: []string{"pipex-exec --network host \"$run\" -- apk add curl && pipex-exec \"$run\""},
		Command:  true,
		Failed:   exec.FailedCode,
		Waits:    true,
		Do:       run,
	})
}

func run(c *cli.Call) (int, error) {
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
	if pull, group := c.String("pull"), c.String("cgroup-parent"); pull != string(step.PullMissing) && pull != string(step.PullNever) {
		return 0, name.Usage("--pull is missing or never, not %q", pull)
	} else if group != "" && group != "self" {
		return 0, name.Usage("--cgroup-parent can only be self, not %q", group)
	}
	opt := exec.Options{
		Fetch: exec.FetchBy(c.Puller(), c.String("pull")), Once: c.Bool("once"), Job: cli.Job(), BelowCaller: c.String("cgroup-parent") == "self",
		Cmd: c.Command, Network: network, Timeout: timeout, Terminal: c.Bool("tty"), LogMax: int64(logMax),
		Grace: c.Duration("stop-grace"), Stdout: os.Stdout, Stderr: os.Stderr, Lookup: os.LookupEnv, Signals: c.Signals, Reap: c.Reap,
	}
	if opt.Grace == 0 {
		opt.Grace = -1 // --stop-grace 0: kill at once
	}
	if opt.EnvProgram, err = os.Executable(); err != nil {
		return 0, err
	}
	if c.Bool("interactive") {
		opt.Stdin = os.Stdin
	}
	id, err := c.RunID(c.Args[0])
	if err != nil {
		return 0, err
	}
	place := c.Place()
	if dir := c.String("containerd"); dir != "" {
		if place.Containerd, err = c.StartContainerd(place.Containerd, dir); err != nil {
			return 0, err
		}
	}
	place.Warn = func(err error) {
		if why := new(exec.ReasonError); errors.As(err, &why) {
			c.Fail(err) // it is why we fail, not a warning
		} else {
			c.Warn(err)
		}
	}
	status, err := exec.Exec(c.Context.Context, place, id, opt)
	var interrupted *exec.InterruptedError
	if errors.As(err, &interrupted) {
		c.Fail(err)
		return 128 + int(interrupted.Signal), nil
	}
	return status, err
}
