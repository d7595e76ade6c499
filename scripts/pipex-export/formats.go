package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"pipex/lib/attest"
	"pipex/lib/cli"
	"pipex/lib/crate"
	"pipex/lib/name"
	"pipex/lib/provenance"
	"pipex/lib/workspace"
)

// choice is what the operands name.
type choice struct {
	ws    *workspace.Workspace
	nodes []*provenance.Node // each after its inputs
	named []*provenance.Node // those that the operands name; none for a workspace
	alone bool               // the operands are ids of runs
	what  string
}

// choose reads the operands. The id of a run, or its beginning, means that run alone; any other
// name of a run means all that it was made from, too.
func choose(c *cli.Call) (*choice, error) {
	ws, runs, err := c.RunOperands()
	if err != nil {
		return nil, err
	}
	nodes, bad, err := provenance.Read(c.Context.Context, ws, runs)
	if err != nil {
		return nil, err
	}
	c.Warn(bad)
	if len(runs) == 0 {
		return &choice{ws: ws, nodes: nodes, what: "Workspace " + ws.ID}, nil
	}
	words := c.Args[len(c.Args)-len(runs):]
	ch := &choice{ws: ws, alone: true, what: strings.Join(words, ", ") + " of workspace " + ws.ID}
	var tips []*provenance.Node
	for i, r := range runs {
		n := nodes[slices.IndexFunc(nodes, func(n *provenance.Node) bool { return n.ID == r.ID })]
		ch.named = append(ch.named, n)
		if !strings.HasPrefix(r.ID, words[i]) || n.Step == words[i] && r.ID != words[i] {
			ch.alone = false
			tips = append(tips, n)
			c.SayWhich(words[i], r)
		}
	}
	before := provenance.Before(nodes, tips...)
	ch.nodes = slices.DeleteFunc(nodes, func(n *provenance.Node) bool {
		return !slices.Contains(before, n) && !slices.Contains(ch.named, n)
	})
	return ch, nil
}

// keep leaves out the runs for which check returns an error, and returns that of one that an
// operand names.
func (ch *choice) keep(c *cli.Call, check func(*provenance.Node) error) error {
	for _, n := range ch.named {
		if err := check(n); err != nil {
			return err
		}
	}
	all := len(ch.nodes)
	ch.nodes = slices.DeleteFunc(ch.nodes, func(n *provenance.Node) bool { return check(n) != nil })
	if len(ch.nodes) == 0 {
		return fmt.Errorf("%w: there is none that could be exported", workspace.ErrNoRun)
	}
	if left := all - len(ch.nodes); left > 0 {
		c.Say("left out %d of %d runs, such as failed, open or removed ones", left, all)
	}
	return nil
}

func crates(c *cli.Call) error {
	if len(c.Args) == 0 {
		return name.Usage("DEST is wanted")
	}
	license := c.String("license")
	if u, err := url.Parse(license); err != nil || license != "" && !u.IsAbs() {
		return name.Usage("%q is no URL of a licence, such as https://spdx.org/licenses/MIT", license)
	}
	dest := c.Args[len(c.Args)-1]
	c.Args = c.Args[:len(c.Args)-1]
	ch, err := choose(c)
	if err == nil {
		err = ch.keep(c, crate.Check)
	}
	if err != nil {
		return err
	}
	return directory(c, dest, func(ctx context.Context, dir string) error {
		return crate.Write(ctx, dir, ch.nodes, crate.Options{Name: ch.what, License: license, Workflow: !ch.alone})
	})
}

func statements(c *cli.Call) (err error) {
	if builder := c.String("builder"); c.IsSet("builder") {
		if u, err := url.Parse(builder); err != nil || !u.IsAbs() {
			return name.Usage("%q is no URI of a builder, such as https://ci.example.com/runners/1", builder)
		}
	}
	var key *attest.Key
	if c.IsSet("key") {
		if key, err = attest.ReadKey(c.String("key")); err != nil {
			return err
		}
	}
	ch, err := choose(c)
	if err == nil {
		err = ch.keep(c, attest.Check)
	}
	if err != nil {
		return err
	}
	return cli.Output(c.String("output"), func(w io.Writer) error {
		return attest.Write(c.Context.Context, w, ch.ws, ch.nodes, c.String("builder"), key)
	})
}
