package status

import (
	"cmp"
	"slices"
	"time"

	"pipex/lib/workspace"
)

// Order sorts rows as their steps run: each after the steps that it reads, otherwise by the
// time at which it began. It takes n log n time.
func Order(rows []*Row) []*Row {
	slices.SortFunc(rows, func(a, b *Row) int {
		return cmp.Or(began(a).Compare(began(b)), cmp.Compare(a.RunID, b.RunID), cmp.Compare(a.StepID, b.StepID))
	})
	steps := make(map[string]*Row, len(rows))
	for _, r := range rows {
		steps[r.StepID] = r
	}
	sorted := make([]*Row, 0, len(rows))
	seen := make(map[*Row]bool, len(rows)) // also ends a circle, which links of different times may form
	var visit func(r *Row)
	visit = func(r *Row) {
		if r == nil || seen[r] {
			return
		}
		seen[r] = true
		if r.Meta != nil {
			for _, in := range r.Meta.Inputs {
				visit(steps[in.Step])
			}
		}
		sorted = append(sorted, r)
	}
	for _, r := range rows {
		visit(r)
	}
	return sorted
}

func began(r *Row) time.Time {
	if r.StartedAt != nil {
		return r.StartedAt.Time
	}
	return time.Time{}
}

// MarkSucceeded marks the failed open runs of steps that have succeeded since, and returns
// how many there are.
func MarkSucceeded(linked, open []*Row) (n int) {
	succeeded := map[string]time.Time{}
	for _, r := range linked {
		if r.Status == workspace.Success && r.FinishedAt != nil {
			succeeded[r.StepID] = r.FinishedAt.Time
		}
	}
	for _, r := range open {
		if r.Status == workspace.Failure && r.FinishedAt != nil && succeeded[r.StepID].After(r.FinishedAt.Time) {
			r.SucceededSince = true
			n++
		}
	}
	return n
}
