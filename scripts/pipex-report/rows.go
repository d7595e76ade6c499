package main

import (
	"context"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"pipex/lib/provenance"
	"pipex/lib/run"
	"pipex/lib/status"
	"pipex/lib/step"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

// read returns the rows of the report: of runs and of all that they were made from or, without
// runs, those that pipex-show lists. nodes are these and all that they were made from. bad names
// links that cannot be read.
func read(ctx context.Context, ws *workspace.Workspace, runs []workspace.Run) (rows []*status.Row, nodes []*provenance.Node, bad, err error) {
	if len(runs) > 0 {
		if nodes, bad, err = provenance.Read(ctx, ws, runs); err != nil {
			return nil, nil, nil, err
		}
		for _, n := range nodes {
			rows = append(rows, row(ctx, ws, n))
		}
		return rows, nodes, bad, nil
	}
	linked, open, bad := status.Read(ctx, ws)
	status.MarkSucceeded(linked, open)
	nodes, _ = provenance.Workspace(ctx, ws) // it names the same links as bad
	return append(status.Order(linked), open...), nodes, bad, ctx.Err()
}

// row returns the row of a run of the graph.
func row(ctx context.Context, ws *workspace.Workspace, n *provenance.Node) *status.Row {
	if n.Run.Dir == "" {
		return &status.Row{StepID: n.Step, RunID: n.ID, Status: n.Status}
	}
	r := status.ReadRun(ctx, ws, n.Run)
	if r.StepID == "" {
		r.StepID = n.Step
	}
	r.Linked = len(n.Linked) > 0
	return r
}

// reader reads what the rows do not have.
type reader struct {
	ws      *workspace.Workspace
	history *workspace.History
	limit   limit
	// manifests is how many bytes of manifests may still be read: the rest of a report of many
	// steps says that content has changed, but not where.
	manifests atomic.Int64
}

// maxManifests is enough for the manifests of 500,000 files.
const maxManifests = 64 << 20

// maxDetailed is how many runs have details. With more of them a browser takes many seconds to
// open the report.
const maxDetailed = 2000

// detailed returns the places of the rows that have details: of failed runs before others.
func detailed(rows []*status.Row) (places []int) {
	for _, failed := range []bool{true, false} {
		for i, row := range rows {
			if len(places) < maxDetailed && (class(row) == bad) == failed {
				places = append(places, i)
			}
		}
	}
	return places
}

// details reads them, of several rows at once. They are nil for rows that have none.
func (rd *reader) details(ctx context.Context, rows []*status.Row) ([]*details, error) {
	all := make([]*details, len(rows))
	rd.manifests.Store(maxManifests)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, i := range detailed(rows) {
		g.Go(func() error {
			all[i] = rd.of(ctx, rows[i])
			return ctx.Err()
		})
	}
	return all, g.Wait()
}

// why says why a run was executed: how it differs from the run of its step before, in the words
// of pipex-explain.
func (rd *reader) why(row *status.Row) (since string, found []step.Difference) {
	if row.Meta == nil || row.StepID == "" {
		return "", nil
	}
	was, ok, err := rd.history.Before(row.Run, row.Meta.StepID)
	if err != nil || !ok {
		return "", nil
	}
	m, err := was.Meta()
	if err != nil {
		return was.ID, []step.Difference{{What: "run " + was.ID, Detail: "its record cannot be read"}}
	}
	found, _ = run.Differences(rd.ws, was, m, row.Meta, step.Trees{
		Was: func(digest string) *tree.Tree { return rd.tree(was, digest) },
		Is:  func(digest string) *tree.Tree { return rd.tree(row.Run, digest) },
		Artifacts: func(in step.PinnedInput) *tree.Tree {
			from, err := rd.ws.Run(in.RunID)
			if err != nil {
				return nil
			}
			return rd.tree(from, in.Digest)
		},
	})
	return was.ID, found
}

// tree is [workspace.Run.Tree], as long as it costs little.
func (rd *reader) tree(r workspace.Run, digest string) *tree.Tree {
	if size := r.TreeSize(digest); size > maxManifests/16 || rd.manifests.Add(-size) < 0 {
		return nil
	}
	return r.Tree(digest)
}
