// pipex-graph shows what was made from what.
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
)

func main() {
	cli.Main(cli.Verb{
		Name:     "pipex-graph",
		Synopsis: []string{"[OPTION]... [WORKSPACE] [STEP|RUN]..."},
		About: "Print the runs of the steps and the open runs, each with the runs that it was made\n" +
			"from below it. With STEP or RUN, only these and all that they were made from. It\n" +
			"changes nothing.",
		Flags: []ucli.Flag{
			&ucli.BoolFlag{Name: "svg", Usage: "write a picture as SVG"},
			&ucli.BoolFlag{Name: "dot", Usage: "write the language of Graphviz"},
			cli.JSON,
			cli.OutputFlag,
		},
		Examples: []string{"pipex-graph report", "pipex-graph --svg -o graph.svg", "pipex-graph --dot | dot -Tpdf >graph.pdf"},
		Plain:    true,
		Do:       graph,
	})
}

func graph(c *cli.Call) (int, error) {
	if err := c.OneOf("svg", "dot", "json"); err != nil {
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
	err = cli.Output(c.String("output"), func(w io.Writer) error {
		o := draw.Options{Title: "Provenance of workspace " + ws.ID, Now: time.Now()}
		switch {
		case c.Bool("svg"):
			return draw.Graph(w, nodes, o)
		case c.Bool("dot"):
			return draw.Dot(w, nodes, o)
		case c.Bool("json"):
			return lines(w, nodes)
		}
		return draw.Text{Colours: c.String("output") == "" && cli.Colours(os.Stdout), Now: o.Now}.Tree(w, nodes)
	})
	if err != nil {
		return 0, fmt.Errorf("cannot write the graph: %w", err)
	}
	return 0, nil
}
