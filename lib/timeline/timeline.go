// Package timeline says where the time of a build went: when each run ran, what it waited for,
// and which runs decided when the build ended. It knows nothing but the records of the runs.
package timeline

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"time"

	"pipex/lib/provenance"
)

// Bar is a run in time: prepared, perhaps set up, executed.
type Bar struct {
	Node *provenance.Node
	// Prepared, Started and Finished are when prepare made the run, and when the exec that
	// decides its result began and ended; SetUp is when its setup ended, or Started. Of a
	// run that was prepared long before it was started, Prepared is Started.
	Prepared, Started, SetUp, Finished time.Time
	// Lane is a number that no other bar has at the same time, from 0. Those of one machine are together.
	Lane int
	// Host is the machine that executed it; empty if the record does not say.
	Host string
	// After is the run for which this one waited, nil for the first ones: see [New].
	After *Bar
	// Input says that After is an input, not a run whose end gave room.
	Input bool
	// Waited is the time from the end of After, or from the beginning of the build, until
	// Prepared.
	Waited time.Duration
	// Critical says that the bar is on the critical path.
	Critical bool
}

// Host is a machine and its first lane.
type Host struct {
	Name string
	Lane int
}

// Timeline is a build. The time of the critical path, waits included, is that of the build.
type Timeline struct {
	// Bars are in the order in which they were prepared.
	Bars []*Bar
	// Begin and End are of the whole build.
	Begin, End time.Time
	// Lanes is how many lanes there are: of one machine, how many runs there were at once.
	Lanes int
	// AtOnce is how many runs there were at once, on all machines.
	AtOnce int
	// Hosts are the machines in the order of their lanes; nil if there is only one.
	Hosts []Host
	// Critical is the critical path: the run that ended last, before it the one for which it
	// waited, and so on to the beginning, in the order of time.
	Critical []*Bar
	// Steps and Prepare are the sums of the times in which runs were executed, and were
	// prepared but not yet started. Idle is the time in which there was no run.
	Steps, Prepare, Idle time.Duration
}

// Total is how long the build took.
func (t *Timeline) Total() time.Duration { return t.End.Sub(t.Begin) }

// Parallelism is how many runs were executed at once, on average.
func (t *Timeline) Parallelism() float64 {
	if t.Total() <= 0 {
		return 0
	}
	return float64(t.Steps) / float64(t.Total())
}

// soon is how long after its last input has ended a run begins if nothing else keeps it: time
// enough for commit, link and make.
const soon = time.Second

// New arranges the runs that have been started; of running ones now is the end. A run waited
// for its input that ended last, if it was prepared within a second after that; otherwise
// for the run that ended last before it was prepared: most likely that one gave room
// under make's -j. Records do not say this, so it is a guess. It takes n log n time, and that
// of the lanes.
func New(nodes []*provenance.Node, now time.Time) *Timeline {
	t := &Timeline{}
	bars := map[*provenance.Node]*Bar{}
	for _, n := range nodes {
		if b := bar(n, now); b != nil {
			t.Bars = append(t.Bars, b)
			bars[n] = b
		}
	}
	slices.SortStableFunc(t.Bars, func(a, b *Bar) int {
		return cmp.Or(a.Prepared.Compare(b.Prepared), a.Finished.Compare(b.Finished))
	})
	for i, b := range t.Bars {
		if i == 0 || b.Prepared.Before(t.Begin) {
			t.Begin = b.Prepared
		}
		if b.Finished.After(t.End) {
			t.End = b.Finished
		}
		t.Steps += b.Finished.Sub(b.Started)
		t.Prepare += b.Started.Sub(b.Prepared)
	}
	t.wait(bars)
	t.pack()
	return t
}

func bar(n *provenance.Node, now time.Time) *Bar {
	end := n.Ended(now)
	if n.Meta == nil || end.IsZero() || n.Meta.StartedAt == nil || n.Meta.StartedAt.IsZero() {
		return nil
	}
	b := &Bar{Node: n, Started: n.Meta.StartedAt.Time, Finished: end}
	if all := n.Meta.Execs; len(all) > 0 {
		b.Host = all[len(all)-1].Host
	}
	if b.Finished.Before(b.Started) { // a clock was set back
		b.Finished = b.Started
	}
	b.Prepared, b.SetUp = b.Started, b.Started
	if at := n.Began(); at.Before(b.Started) && b.Started.Sub(at) <= provenance.Pause {
		b.Prepared = at
	}
	for _, e := range n.Meta.Execs {
		if e.Setup && e.FinishedAt != nil && !e.StartedAt.Before(b.Started) && !e.FinishedAt.After(b.Finished) {
			b.SetUp = e.FinishedAt.Time
		}
	}
	return b
}

// wait finds for each bar the one before it, and the critical path. A bar comes after bars only
// that ended before it in one fixed order, so the path ends.
func (t *Timeline) wait(bars map[*provenance.Node]*Bar) {
	ended := slices.Clone(t.Bars)
	slices.SortStableFunc(ended, func(a, b *Bar) int { return a.Finished.Compare(b.Finished) })
	position := make(map[*Bar]int, len(ended))
	for i, b := range ended {
		position[b] = i
	}
	for _, b := range t.Bars {
		b.Waited = b.Prepared.Sub(t.Begin)
		for _, n := range b.Node.Inputs {
			if in := bars[n]; in != nil && position[in] < position[b] && !in.Finished.After(b.Prepared) && (b.After == nil || position[in] > position[b.After]) {
				b.After, b.Input = in, true
			}
		}
		if b.After == nil || b.Prepared.Sub(b.After.Finished) > soon {
			before := sort.Search(position[b], func(i int) bool { return ended[i].Finished.After(b.Prepared) })
			if before > 0 && (b.After == nil || ended[before-1].Finished.After(b.After.Finished)) {
				b.After, b.Input = ended[before-1], false
			}
		}
		if b.After != nil {
			b.Waited = b.Prepared.Sub(b.After.Finished)
		}
	}
	if len(ended) > 0 {
		for b := ended[len(ended)-1]; b != nil; b = b.After {
			b.Critical = true
			t.Critical = append(t.Critical, b)
		}
		slices.Reverse(t.Critical)
	}
}

// pack gives each bar the first lane of its machine that is free, and sums up when there was no bar.
func (t *Timeline) pack() {
	until := t.Begin
	of := map[string][]*Bar{}
	for _, b := range t.Bars {
		if b.Prepared.After(until) {
			t.Idle += b.Prepared.Sub(until)
		}
		if b.Finished.After(until) {
			until = b.Finished
		}
		of[b.Host] = append(of[b.Host], b)
	}
	t.AtOnce = lanes(t.Bars, 0)
	for _, host := range slices.Sorted(maps.Keys(of)) {
		if len(of) > 1 {
			t.Hosts = append(t.Hosts, Host{host, t.Lanes})
		}
		t.Lanes += lanes(of[host], t.Lanes)
	}
}

// lanes gives each of the bars the first lane, from first on, that is free, and returns how many there are.
func lanes(bars []*Bar, first int) int {
	var free []time.Time
	for _, b := range bars {
		lane := slices.IndexFunc(free, func(at time.Time) bool { return !at.After(b.Prepared) })
		if lane < 0 {
			lane = len(free)
			free = append(free, time.Time{})
		}
		free[lane] = b.Finished
		b.Lane = first + lane
	}
	return len(free)
}
