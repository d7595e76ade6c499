package provenance

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"pipex/lib/name"
	"pipex/lib/workspace"
)

// Began returns when the run was prepared: by its record or, without one, by its id. It is
// the zero time if neither says so.
func (n *Node) Began() time.Time {
	if m := n.Meta; m != nil && !m.PreparedAt.IsZero() {
		return m.PreparedAt.Time
	} else if m != nil && m.StartedAt != nil { // of another tool
		return m.StartedAt.Time
	}
	if digits, _, _ := strings.Cut(n.ID, "-"); name.IsID(n.ID) {
		if ms, err := strconv.ParseInt(digits, 10, 64); err == nil {
			return time.UnixMilli(ms)
		}
	}
	return time.Time{}
}

// Ended returns when the run's command ended, or the commit of a run without one; of a run
// that is running it is now. It is the zero time if there is no end.
func (n *Node) Ended(now time.Time) time.Time {
	switch {
	case n.Meta == nil:
		return time.Time{}
	case n.Status == workspace.Running:
		return now
	case n.Meta.FinishedAt != nil:
		return n.Meta.FinishedAt.Time
	}
	return time.Time{}
}

// order sorts nodes, each after its inputs, otherwise by time, and cuts circles.
func order(nodes []*Node) []*Node {
	nodes = slices.Clone(nodes)
	slices.SortFunc(nodes, byTime)
	sorted := make([]*Node, 0, len(nodes))
	const visiting, done = 1, 2
	state := make(map[*Node]int, len(nodes))
	// A stack of its own, since a chain of runs may be long.
	type frame struct {
		node *Node
		next int
	}
	for _, root := range nodes {
		for stack := []frame{{node: root}}; len(stack) > 0; {
			top := &stack[len(stack)-1]
			if state[top.node] == done {
				stack = stack[:len(stack)-1]
				continue
			}
			state[top.node] = visiting
			if top.next == len(top.node.Inputs) {
				state[top.node] = done
				sorted = append(sorted, top.node)
				stack = stack[:len(stack)-1]
				continue
			}
			switch in := top.node.Inputs[top.next]; state[in] {
			case visiting: // a circle
				top.node.Inputs = slices.Delete(top.node.Inputs, top.next, top.next+1)
			case done:
				top.next++
			default:
				top.next++
				stack = append(stack, frame{node: in})
			}
		}
	}
	return sorted
}

func byTime(a, b *Node) int {
	return cmp.Or(a.Began().Compare(b.Began()), cmp.Compare(a.ID, b.ID))
}

// Pause is the time without a run that separates two builds in [LastBuild]: longer than make
// needs between two steps, shorter than a person between two builds that have been looked at.
const Pause = 2 * time.Minute

// LastBuild returns those of nodes, in their order, that belong to the last build: the runs
// that are linked or open and have been started, as far back as no run is missing for longer
// than [Pause]. Records do not say which build a run belongs to, so this is a guess.
func LastBuild(nodes []*Node, now time.Time) []*Node {
	var runs []*Node
	for _, n := range nodes {
		if (len(n.Linked) > 0 || n.Open()) && !n.Ended(now).IsZero() {
			runs = append(runs, n)
		}
	}
	byBegin := slices.Clone(runs)
	slices.SortFunc(byBegin, byTime)
	var since, until time.Time
	for _, n := range byBegin {
		if until.IsZero() || n.Began().Sub(until) > Pause {
			since = n.Began()
		}
		if end := n.Ended(now); end.After(until) {
			until = end
		}
	}
	return slices.DeleteFunc(runs, func(n *Node) bool { return n.Began().Before(since) })
}
