// pipex-logs prints what a run has written to stdout and stderr.
package main

import (
	"fmt"

	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/name"
	"pipex/lib/workspace"
)

func main() {
	cli.Main(cli.Verb{
		Name:     "pipex-logs",
		Synopsis: []string{"[OPTION]... [WORKSPACE] STEP|RUN", "--failed [OPTION]... [WORKSPACE] [STEP]..."},
		About: "Print what a run has written, byte for byte: its stdout to stdout, and its stderr to\n" +
			"stderr. STEP means the step's newest run, be it open or failed.",
		Flags: []ucli.Flag{
			&ucli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on until the run has a result; wait for the start of one that is only prepared"},
			&ucli.IntFlag{Name: "tail", Aliases: []string{"n"}, Usage: "begin `N` lines before the end of each log"},
			&ucli.IntFlag{Name: "exec", Usage: "print only what exec `N` wrote: 1 is the run's first, -1 its last"},
			&ucli.BoolFlag{Name: "failed", Usage: "print the logs of the failed runs, or of STEP's newest one"},
			&ucli.BoolFlag{Name: "stdout", Usage: "print only stdout"},
			&ucli.BoolFlag{Name: "stderr", Usage: "print only stderr"},
			&ucli.StringFlag{Name: "stream", Aliases: []string{"s"}, Value: "both", Usage: "print `STREAM`: stdout, stderr or both"},
		},
		Examples: []string{"pipex-logs -f report", "pipex-logs --tail 20 --stderr report", "pipex-logs --failed"},
		Plain:    true,
		Do:       logs,
	})
}

func logs(c *cli.Call) (int, error) {
	streams, err := chosen(c)
	if err != nil {
		return 0, err
	}
	if c.Bool("failed") {
		return 0, failed(c, streams)
	}
	if err := c.Operands(1, 2); err != nil {
		return 0, err
	}
	r, _, err := c.RunOperand(0)
	if err != nil {
		return 0, err
	}
	c.SayWhich(c.Args[len(c.Args)-1], r)
	ws, err := home(c)
	if err != nil {
		return 0, err
	}
	return 0, show(c, ws, r, streams)
}

// home opens the workspace that the operands name, or the options.
func home(c *cli.Call) (*workspace.Workspace, error) {
	if len(c.Args) == 2 {
		if ws, is := c.WorkspaceOperand(c.Args[0]); is {
			return ws, nil
		}
	}
	return c.Place().Open()
}

// chosen returns the names of the streams to print.
func chosen(c *cli.Call) ([]string, error) {
	if err := c.OneOf("stdout", "stderr"); err != nil {
		return nil, err
	}
	if c.IsSet("stream") && (c.Bool("stdout") || c.Bool("stderr")) {
		return nil, name.Usage("--stream says what --stdout and --stderr say; give one of them")
	}
	if c.IsSet("tail") && c.Int("tail") < 0 {
		return nil, name.Usage("--tail takes a number of lines, not %d", c.Int("tail"))
	}
	if c.IsSet("exec") && c.Int("exec") == 0 {
		return nil, name.Usage("--exec counts from 1, or from -1 for the last")
	}
	switch s := c.String("stream"); {
	case c.Bool("stdout") || s == "stdout":
		return []string{"stdout"}, nil
	case c.Bool("stderr") || s == "stderr":
		return []string{"stderr"}, nil
	case s == "both":
		return []string{"stdout", "stderr"}, nil
	default:
		return nil, name.Usage("%q is not stdout, stderr or both", s)
	}
}

// show prints the logs of a run, until it has a result if that is asked for.
func show(c *cli.Call, ws *workspace.Workspace, r workspace.Run, streams []string) error {
	v := view{c: c, ws: ws, run: r, follow: c.Bool("follow"), exec: c.Int("exec"), tail: -1}
	if c.IsSet("tail") {
		v.tail = c.Int("tail")
	}
	for _, stream := range streams {
		v.logs = append(v.logs, newLog(stream))
	}
	defer v.close()
	if err := v.print(); err != nil {
		return fmt.Errorf("cannot print the logs of run %q: %w", r.ID, err)
	}
	return nil
}
