// pipex-timeline shows where the time of a build went.
package main

import (
	"fmt"
	"io"
	"os"
	"time"

	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/draw"
	"pipex/lib/provenance"
	"pipex/lib/timeline"
)

func main() {
	cli.Main(cli.Verb{
		Name:     "pipex-timeline",
		Synopsis: []string{"[OPTION]... [WORKSPACE] [STEP|RUN]..."},
		About: "Print when each run of the last build ran, what waited for what, and the critical path:\n" +
			"the runs that decided when the build ended. With STEP or RUN, of these and all that they\n" +
			"were made from. It changes nothing.",
		Flags: []ucli.Flag{
			&ucli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "show all runs of the steps, not only those of the last build"},
			&ucli.BoolFlag{Name: "svg", Usage: "write a picture as SVG"},
			&ucli.BoolFlag{Name: "chrome", Usage: "write a trace that Perfetto and chrome://tracing open"},
			cli.JSON,
			cli.OutputFlag,
		},
		Examples: []string{"pipex-timeline", "pipex-timeline --svg -o build.svg", "pipex-timeline --chrome -o build.json"},
		Plain:    true,
		Do:       show,
	})
}

func show(c *cli.Call) (int, error) {
	if err := c.OneOf("svg", "chrome", "json"); err != nil {
		return 0, err
	}
	ws, runs, err := c.RunOperands()
	if err != nil {
		return 0, err
	}
	nodes, bad, err := provenance.Read(c.Context.Context, ws, runs)
	if err != nil {
		return 0, err
	}
	c.Warn(bad)
	now := time.Now()
	if !c.Bool("all") {
		nodes = provenance.LastBuild(nodes, now)
	}
	t := timeline.New(nodes, now)
	title := "Build of workspace " + ws.ID
	err = cli.Output(c.String("output"), func(w io.Writer) error {
		switch {
		case c.Bool("svg"):
			return draw.Timeline(w, t, draw.Options{Title: title, Now: now})
		case c.Bool("chrome"):
			return t.WriteChrome(w, title, func(b *timeline.Bar) string { return draw.Name(b.Node, 128) })
		case c.Bool("json"):
			return lines(w, t)
		}
		text := draw.Text{Columns: 100, Now: now}
		if c.String("output") == "" {
			text.Colours, text.Columns = cli.Colours(os.Stdout), cli.Columns(os.Stdout, 100)
		}
		return text.Timeline(w, t)
	})
	if err != nil {
		return 0, fmt.Errorf("cannot write the timeline: %w", err)
	}
	return 0, nil
}
