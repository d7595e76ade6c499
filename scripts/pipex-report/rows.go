package main

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"pipex/lib/run"
	"pipex/lib/status"
	"pipex/lib/step"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

// read returns the rows of the report: of runs and of all that they were made from or, without
// runs, those that pipex-show lists. bad names links that cannot be read.
func read(ctx context.Context, ws *workspace.Workspace, runs []workspace.Run) (rows []*status.Row, bad, err error) {
	if len(runs) > 0 {
		return status.Order(before(ctx, ws, runs)), nil, nil
	}
	linked, open, bad := status.Read(ctx, ws)
	status.MarkSucceeded(linked, open)
	return append(status.Order(linked), open...), bad, ctx.Err()
}

// before returns the rows of runs and of the runs that they read, and so on.
func before(ctx context.Context, ws *workspace.Workspace, runs []workspace.Run) (rows []*status.Row) {
	seen := map[string]bool{}
	for todo := runs; len(todo) > 0 && ctx.Err() == nil; todo = todo[1:] {
		if seen[todo[0].ID] {
			continue
		}
		seen[todo[0].ID] = true
		row := status.ReadRun(ctx, ws, todo[0])
		rows = append(rows, row)
		if row.Meta == nil {
			continue
		}
		for _, in := range row.Meta.Inputs {
			if r, err := ws.Run(in.RunID); err == nil {
				todo = append(todo, r)
			} else if errors.Is(err, workspace.ErrNoRun) && !seen[in.RunID] {
				seen[in.RunID] = true
				rows = append(rows, &status.Row{StepID: in.Step, RunID: in.RunID, Status: status.Missing})
			}
		}
	}
	return rows
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
