// pipex-graph shows what was made from what.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/draw"
	"pipex/lib/provenance"
	"pipex/lib/workspace"
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

// line is a run in JSON. Inputs are run ids, Linked and Stale names of steps.
type line struct {
	RunID     string           `json:"runId"`
	StepID    string           `json:"stepId,omitempty"`
	Status    workspace.Status `json:"status"`
	Committed bool             `json:"committed"`
	Linked    []string         `json:"linked"`
	Inputs    []string         `json:"inputs"`
	Stale     []string         `json:"stale"`
}

func lines(w io.Writer, nodes []*provenance.Node) error {
	out := json.NewEncoder(w)
	for _, n := range nodes {
		l := line{n.ID, n.Step, n.Status, n.Committed, append([]string{}, n.Linked...), []string{}, append([]string{}, n.Stale...)}
		for _, in := range n.Inputs {
			l.Inputs = append(l.Inputs, in.ID)
		}
		if err := out.Encode(l); err != nil {
			return err
		}
	}
	return nil
}
