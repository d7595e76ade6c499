// Package provenance reads which runs the runs of a workspace were made from: the graph that
// the inputs in their records form.
//
// It takes no lock, changes nothing and trusts no record: a run may be missing, a record
// damaged or written by another tool, and the names in it may be anything. What others do in
// the workspace meanwhile is seen in part.
package provenance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"pipex/lib/name"
	"pipex/lib/status"
	"pipex/lib/workspace"
)

// Node is a run in the graph.
type Node struct {
	// ID is the run's id. That of a missing run is what a record says, and may have any form.
	ID string
	// Step is the step that the run belongs to: by its record or, without one, by a link or by
	// the record of a run that reads it. It may be empty, and may have any form.
	Step string
	// Status is that of the record, or one of [status.Interrupted], [status.Missing] and
	// [status.Unreadable].
	Status workspace.Status
	// Run is where it is; the zero value if it is missing.
	Run workspace.Run
	// Meta is its record; nil if it is missing or cannot be read.
	Meta *workspace.Meta
	// Committed says that it is in runs/, Missing that it is nowhere.
	Committed, Missing bool
	// Linked are the steps whose links point to the run, sorted.
	Linked []string
	// Inputs are the runs that it read, in the order of its record, each once. All of them
	// stand before it in the order of the nodes, so a walk along Inputs ends: an input that
	// closes a circle, which only an altered record can do, is left out.
	Inputs []*Node
	// Stale are the steps among its inputs that are linked to other artifacts now, in the
	// order of the record, each once. It is empty unless the run is linked or open.
	Stale []string
}

// Open reports whether the run is in staging/.
func (n *Node) Open() bool { return !n.Committed && !n.Missing }

// Read returns the graph of runs, or that of the whole workspace if there are none: see [Of] and
// [Workspace]. bad names links that are not good, err says why there is no graph.
func Read(ctx context.Context, ws *workspace.Workspace, runs []workspace.Run) (nodes []*Node, bad, err error) {
	if len(runs) > 0 {
		nodes, bad = Of(ctx, ws, runs...)
	} else {
		nodes, bad = Workspace(ctx, ws)
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, bad
	}
	return nodes, bad, nil
}

// Workspace returns the runs that the steps are linked to, the open runs, and all runs before
// them. The order is that of [Of]. It returns the nodes of good links together with an error
// that names bad ones.
func Workspace(ctx context.Context, ws *workspace.Workspace) ([]*Node, error) {
	g := newGraph(ctx, ws)
	open, err := ws.OpenRuns()
	for _, l := range g.links {
		g.add(l.RunID, l.Step)
	}
	for _, r := range open {
		g.add(r.ID, "")
	}
	nodes, readErr := g.read()
	return nodes, errors.Join(g.err, err, readErr)
}

// Of returns runs and all runs before them: each after its inputs, otherwise by the time at
// which it began. It reads each record once; 10,000 take a second or two. The error is that of
// ctx, or names links that point to no run; the nodes are returned with the latter.
func Of(ctx context.Context, ws *workspace.Workspace, runs ...workspace.Run) ([]*Node, error) {
	g := newGraph(ctx, ws)
	for _, r := range runs {
		g.add(r.ID, "")
	}
	nodes, err := g.read()
	return nodes, errors.Join(g.err, err)
}

// Before returns those of nodes, in their order, that are tips or that tips were made from.
func Before(nodes []*Node, tips ...*Node) []*Node {
	reached := map[*Node]bool{}
	for _, n := range tips {
		reached[n] = true
	}
	// Inputs stand before the runs that read them.
	for _, n := range slices.Backward(nodes) {
		if reached[n] {
			for _, in := range n.Inputs {
				reached[in] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(nodes), func(n *Node) bool { return !reached[n] })
}

// graph is one that is being read.
type graph struct {
	ctx   context.Context
	ws    *workspace.Workspace
	nodes map[string]*Node // by id
	next  []*Node          // whose records have not been read yet
	links []workspace.Link
	to    map[string]string // the run that a step is linked to
	err   error             // of links
}

func newGraph(ctx context.Context, ws *workspace.Workspace) *graph {
	g := &graph{ctx: ctx, ws: ws, nodes: map[string]*Node{}, to: map[string]string{}}
	g.links, g.err = ws.Links()
	for _, l := range g.links {
		g.to[l.Step] = l.RunID
	}
	return g
}

// add returns the node of a run; step is what the one that refers to it says.
func (g *graph) add(id, step string) *Node {
	n, known := g.nodes[id]
	if !known {
		n = &Node{ID: id}
		g.nodes[id] = n
		g.next = append(g.next, n)
	}
	if n.Step == "" {
		n.Step = step
	}
	return n
}

// read reads the records of all nodes, and of those that they lead to: always those at once
// that are known.
func (g *graph) read() ([]*Node, error) {
	var tips []*Node
	for len(g.next) > 0 {
		var group errgroup.Group
		group.SetLimit(runtime.GOMAXPROCS(0))
		now := g.next
		g.next = nil
		for _, n := range now {
			if g.ctx.Err() != nil {
				break
			}
			group.Go(func() error { n.read(g.ws); return nil })
		}
		group.Wait()
		if err := g.ctx.Err(); err != nil {
			return nil, fmt.Errorf("cannot read the runs of workspace %q: %w", g.ws.ID, err)
		}
		for _, n := range now {
			g.connect(n)
		}
		tips = append(tips, now...)
	}
	for _, l := range g.links {
		if n := g.nodes[l.RunID]; n != nil {
			n.Linked = append(n.Linked, l.Step)
		}
	}
	sorted := order(tips)
	g.markStale(sorted)
	return sorted, nil
}

// read finds the run and reads its record. A commit may move the run in between, once.
func (n *Node) read(ws *workspace.Workspace) {
	var err error
	for range 2 {
		n.Run, err = ws.Run(n.ID)
		var wrong *name.Error
		if n.Missing = errors.Is(err, workspace.ErrNoRun) || errors.As(err, &wrong); n.Missing {
			n.Status = status.Missing
			return
		}
		if err == nil {
			n.Meta, err = n.Run.Meta()
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	n.Committed = n.Run.Committed
	switch {
	case err != nil:
		n.Meta, n.Status = nil, status.Unreadable
	case n.Meta.Status == workspace.Running && ws.Held(n.ID) == nil:
		n.Status = status.Interrupted
	default:
		n.Status = n.Meta.Status
	}
}

// connect adds the inputs of a node whose record has been read.
func (g *graph) connect(n *Node) {
	if n.Meta == nil {
		return
	}
	if n.Meta.StepID != "" {
		n.Step = n.Meta.StepID
	}
	seen := map[*Node]bool{}
	for _, in := range n.Meta.Inputs {
		if input := g.add(in.RunID, in.Step); !seen[input] {
			seen[input] = true
			n.Inputs = append(n.Inputs, input)
		}
	}
}

// markStale finds the inputs whose steps are linked to other artifacts now. Another run with
// the same artifacts changes nothing for those who read them.
func (g *graph) markStale(nodes []*Node) {
	digests := map[string]string{} // of the runs that are linked, but not in the graph
	for _, n := range nodes {
		if n.Meta == nil || len(n.Linked) == 0 && !n.Open() {
			continue
		}
		for _, in := range n.Meta.Inputs {
			now := g.to[in.Step]
			if now == "" || now == in.RunID || slices.Contains(n.Stale, in.Step) {
				continue
			}
			digest, known := digests[now]
			if !known {
				digest = g.digest(now)
				digests[now] = digest
			}
			if digest == "" || digest != in.Digest {
				n.Stale = append(n.Stale, in.Step)
			}
		}
	}
}

// digest returns the digest of a run's artifacts, "" if it is not known.
func (g *graph) digest(id string) string {
	n := g.nodes[id]
	if n == nil {
		n = &Node{ID: id}
		n.read(g.ws)
	}
	if n.Meta == nil || n.Meta.Artifacts == nil {
		return ""
	}
	return n.Meta.Artifacts.Digest
}
