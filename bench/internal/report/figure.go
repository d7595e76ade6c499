// Package report turns samples into figures, and writes them for people: a table, a plot,
// and a history of earlier results.
package report

import (
	"fmt"
	"math"
	"slices"
)

// Figure is one comparison: what a row has cost us and a peer.
type Figure struct {
	Row, Ours, Peer string
	// Metric is what is compared: time, CPU, memory, or a row's own.
	Metric, Unit string
	// Form says what Value is of the two.
	Form Form
	// OursIs and PeerIs are medians in Unit; means for CPU, whose clock is coarse. PeerIs is
	// NaN for a figure without a peer.
	OursIs, PeerIs float64
	// Value is the median of the rounds' ratios or differences, Low and High are their
	// quartiles.
	Value, Low, High float64
	// Limit is what Value must not exceed; NaN if there is no target.
	Limit  float64
	Rounds int
}

// Form is how a figure compares.
type Form string

// Ratio is ours divided by the peer's, More is ours less the peer's, Alone is ours.
const (
	Ratio Form = "ratio"
	More  Form = "more"
	Alone Form = "alone"
)

// Key tells figures of a history apart.
func (f Figure) Key() string { return fmt.Sprintf("%s, %s, %s", f.Row, f.Peer, f.Metric) }

// Reached says "yes" or "no", or "" without a target.
func (f Figure) Reached() string {
	switch {
	case math.IsNaN(f.Limit):
		return ""
	case f.Value <= f.Limit:
		return "yes"
	}
	return "no"
}

// Compare fills in a figure from the values of each round. Both slices have the same
// length; for Alone, theirs is nil.
func (f Figure) Compare(ours, theirs []float64) Figure {
	middle := Median
	if f.Metric == CPU {
		middle = mean
	}
	f.Rounds, f.OursIs, f.PeerIs = len(ours), middle(ours), math.NaN()
	if f.Form == Alone {
		f.Value, f.Low, f.High = middle(ours), quantile(ours, 0.25), quantile(ours, 0.75)
		return f
	}
	f.PeerIs = middle(theirs)
	each := make([]float64, len(ours))
	for i := range ours {
		each[i] = f.Form.of(ours[i], theirs[i])
	}
	f.Value, f.Low, f.High = Median(each), quantile(each, 0.25), quantile(each, 0.75)
	if f.Metric == CPU {
		f.Value = f.Form.of(f.OursIs, f.PeerIs)
	}
	return f
}

// The metrics that any row may have.
const (
	Time   = "time"
	CPU    = "CPU"
	Memory = "memory"
)

func (f Form) of(ours, theirs float64) float64 {
	if f == More {
		return ours - theirs
	}
	return ours / theirs
}

// Median returns the middle of values, NaN if there are none.
func Median(values []float64) float64 { return quantile(values, 0.5) }

func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	at := q * float64(len(s)-1)
	low := int(at)
	high := min(low+1, len(s)-1)
	return s[low] + (s[high]-s[low])*(at-float64(low))
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}
