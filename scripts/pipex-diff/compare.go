package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"pipex/lib/status"
	"pipex/lib/step"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

// comparison is what differs between two runs.
type comparison struct {
	was, is workspace.Run
	// step is what was asked, and what went in. result is how it ended, used what it needed.
	step, result, used []step.Difference
	artifacts          []tree.Difference
	// missing says why there is less than that.
	missing error
}

// differs does not count how long a run took and what it used, which is never twice the same.
func (d *comparison) differs() bool { return len(d.step)+len(d.result)+len(d.artifacts) > 0 }

func compare(ctx context.Context, ws *workspace.Workspace, was, is workspace.Run) (*comparison, error) {
	d := &comparison{was: was, is: is}
	before, err := was.Meta()
	if err != nil {
		return nil, err
	}
	now, err := is.Meta()
	if err != nil {
		return nil, err
	}
	d.step = append(step.Differences(&before.Pinned, &now.Pinned, step.Trees{
		Was: was.Tree,
		Is:  is.Tree,
		Artifacts: func(in step.PinnedInput) *tree.Tree {
			from, err := ws.Run(in.RunID)
			if err != nil {
				return nil
			}
			return from.Tree(in.Digest)
		},
	}), step.Others(&before.Pinned, &now.Pinned)...)
	d.results(before, now)
	from, err := artifacts(ctx, was, before)
	to, also := artifacts(ctx, is, now)
	if d.missing = errors.Join(err, also); d.missing == nil {
		d.artifacts = from.Compare(to)
	}
	if !was.Committed || !is.Committed {
		// A commit takes the right to write from files.
		d.artifacts = slices.DeleteFunc(d.artifacts, func(a tree.Difference) bool { return !a.Decides() })
	}
	return d, ctx.Err()
}

// results compares how the runs ended.
func (d *comparison) results(was, is *workspace.Meta) {
	add := func(list *[]step.Difference, what, was, is string) {
		if was != is {
			*list = append(*list, step.Difference{What: what, Was: was, Is: is})
		}
	}
	exit := func(m *workspace.Meta) string {
		if m.ExitCode == nil {
			return "none"
		}
		return strconv.Itoa(*m.ExitCode)
	}
	reason := func(m *workspace.Meta) string {
		if m.Reason == "" {
			return "none"
		}
		return m.Reason
	}
	add(&d.result, "status", string(was.Status), string(is.Status))
	add(&d.result, "exit status", exit(was), exit(is))
	add(&d.result, "reason", reason(was), reason(is))
	if a, b := was.DurationMs, is.DurationMs; notable(a, b, 1000) {
		add(&d.used, "elapsed", duration(a), duration(b))
	}
	if a, b := peak(was), peak(is); notable(a, b, 16<<20) {
		add(&d.used, "peak memory", status.Bytes(a), status.Bytes(b))
	}
}

// notable reports whether one is twice the other at least, and they differ by at least so much.
func notable(a, b, least int64) bool {
	return min(a, b) > 0 && max(a, b)-min(a, b) >= least && max(a, b)/2 >= min(a, b)
}

func duration(ms int64) string { return status.Duration(time.Duration(ms) * time.Millisecond) }

func peak(m *workspace.Meta) int64 {
	if m.Usage == nil {
		return 0
	}
	return m.Usage.PeakMemoryBytes
}

// artifacts returns what a run has produced: by its manifest, or else as it is now, which
// takes as long as to read it.
func artifacts(ctx context.Context, r workspace.Run, m *workspace.Meta) (*tree.Tree, error) {
	if m.Artifacts != nil {
		if t := r.Tree(m.Artifacts.Digest); t != nil {
			return t, nil
		}
	}
	t, err := tree.Scan(ctx, r.Artifacts(), tree.RecordSpecial())
	if err != nil {
		return nil, fmt.Errorf("the artifacts are not compared: cannot read those of run %q: %w", r.ID, err)
	}
	return t, nil
}
