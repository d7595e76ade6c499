// pipex-doctor checks whether steps can run on this machine.
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/doctor"
	"pipex/lib/name"
)

func main() {
	cli.Main(cli.Verb{
		Name:     "pipex-doctor",
		Synopsis: []string{"[OPTION]..."},
		About: "Check this machine, its containerd and the file system of the workdir, and print a line for\n" +
			"each check: ok, warning or fails, what was found and, behind \"->\", what helps. A check takes\n" +
			"five seconds at most. Nothing is changed.",
		Flags: []ucli.Flag{
			cli.JSON,
			&ucli.StringFlag{Name: "filesystem", Usage: "check only the file system of `DIR`"},
			&ucli.StringFlag{Name: "peer", Usage: "with --filesystem, also from another machine, on which `COMMAND` runs a command, such as 'ssh node1'"},
			&ucli.BoolFlag{Name: "answer", Usage: "answer the pipex-doctor --peer of another machine"},
		},
		Statuses: []string{"0    steps can run here", "1    they cannot before what fails is mended", "129  wrong usage"},
		Examples: []string{"pipex-doctor", "pipex-doctor --json | jq -r 'select(.status != \"ok\") | .help'"},
		Plain:    true,
		Do:       examine,
	})
}

func examine(c *cli.Call) (int, error) {
	if err := c.Operands(0, 0); err != nil {
		return 0, err
	}
	ctx := c.Context.Context
	var findings []doctor.Finding
	peer := strings.Fields(c.String("peer"))
	if dir := c.String("filesystem"); dir == "" && (c.Bool("answer") || c.IsSet("peer")) || c.IsSet("peer") && len(peer) == 0 {
		return 0, name.Usage("--peer COMMAND goes with --filesystem DIR")
	}
	switch {
	case c.Bool("answer"):
		return 0, doctor.Answer(c.String("filesystem"), os.Stdin, os.Stdout)
	case len(peer) > 0:
		findings = doctor.Shared(ctx, c.String("filesystem"), peer)
	case c.IsSet("filesystem"):
		findings = doctor.Filesystem(ctx, c.String("filesystem"))
	default:
		p := c.Place()
		findings = append(doctor.Machine(ctx, p), doctor.Filesystem(ctx, p.Workdir)...)
	}
	for _, f := range findings {
		if err := c.Print(f, line(f)); err != nil {
			return 0, err
		}
	}
	if slices.ContainsFunc(findings, func(f doctor.Finding) bool { return f.Status == doctor.Fails }) {
		return cli.StatusNo, nil
	}
	return 0, nil
}

var colours = map[doctor.Status]string{doctor.OK: "32", doctor.Warning: "33", doctor.Fails: "31"}

// line writes a finding for people.
func line(f doctor.Finding) string {
	status := fmt.Sprintf("%-8s", f.Status)
	if cli.Colours(os.Stdout) {
		status = "\x1b[" + colours[f.Status] + "m" + status + "\x1b[m"
	}
	text := fmt.Sprintf("%s %-24s %s", status, f.Check, cli.Harmless(f.Found))
	if f.Help != "" {
		text += " -> " + cli.Harmless(f.Help)
	}
	return text
}
