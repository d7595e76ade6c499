package main

import (
	"fmt"
	"math"
	"os"
	"strings"

	"pipex/bench/internal/measure"
	"pipex/bench/internal/report"
)

// row is one row of the table: what is compared, and how often.
type row struct {
	name, about string
	rounds      int
	// contests sets up what is compared. What it makes is below the site's directory, which
	// is removed at the end.
	contests func(*site) ([]contest, error)
}

// rows are all rows, in the order of the table.
var rows = []row{
	stepRow, execRow, parallelRow, writeRow, startRow, diskRow, commitRow, cachedRow,
	nullRow, pruneRow, stdoutRow, bigRow, chainRow,
}

// contest is ours against its peers, which take turns.
type contest struct {
	name string
	// ours makes the subject of the binaries in a directory.
	ours  func(binaries) measure.Subject
	peers []peer
	// form is how times are compared; a ratio if it is empty.
	form report.Form
	// cpu says that CPU times are compared, too.
	cpu bool
	// alone are metrics of ours without a peer.
	alone []metric
	// warm is false if a round that is not measured would not make a difference.
	warm bool
	// rounds is the number of rounds if it is not the row's.
	rounds int
}

// peer is something that we are compared with, and the limits by metric.
type peer struct {
	measure.Subject
	limits map[string]float64
}

type metric struct {
	name, unit string
	limit      float64
}

// compete runs a contest and returns its figures.
func (s *site) compete(r row, c contest) ([]report.Figure, error) {
	subjects := []measure.Subject{c.ours(s.bin)}
	peers := c.peers
	if s.with != "" {
		other := c.ours(binaries(s.with))
		other.Name = "the other build"
		peers = []peer{{Subject: other}}
	}
	for _, p := range peers {
		subjects = append(subjects, p.Subject)
	}
	warm := 0
	if c.warm && !s.short {
		warm = 2
	}
	n := s.turns(r.rounds)
	if c.rounds > 0 {
		n = s.turns(c.rounds)
	}
	samples, err := s.meter.Rounds(subjects, warm, n)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	return c.figures(subjects, peers, samples), nil
}

// turns is the number of rounds of a contest that has its own number.
func (s *site) turns(own int) int {
	switch {
	case s.short:
		return 1
	case s.rounds > 0:
		return s.rounds
	}
	return own
}

func (c contest) figures(subjects []measure.Subject, peers []peer, samples [][]measure.Sample) (all []report.Figure) {
	form := c.form
	if form == "" {
		form = report.Ratio
	}
	base := report.Figure{Row: c.name, Ours: subjects[0].Name, Unit: "ms"}
	if samples[0][0].Share > 0 {
		base.Unit = "µs"
	}
	metrics := []string{report.Time}
	if c.cpu {
		metrics = append(metrics, report.CPU)
	}
	for i, p := range peers {
		for _, m := range metrics {
			if p.Elsewhere && m == report.CPU {
				continue
			}
			f := base
			f.Peer, f.Metric, f.Form, f.Limit = p.Name, m, form, math.NaN()
			if limit, ok := p.limits[m]; ok {
				f.Limit = limit
			}
			all = append(all, f.Compare(values(samples[0], m), values(samples[i+1], m)))
		}
	}
	for _, m := range c.alone {
		f := base
		f.Metric, f.Unit, f.Form, f.Limit = m.name, m.unit, report.Alone, m.limit
		all = append(all, f.Compare(values(samples[0], m.name), nil))
	}
	return all
}

// background is the time that work in the background goes on.
const background = "background"

func values(samples []measure.Sample, metric string) (v []float64) {
	for _, s := range samples {
		switch metric {
		case report.Time:
			v = append(v, milliseconds(s))
		case report.CPU:
			v = append(v, s.CPU.Seconds()*1000)
		case background:
			v = append(v, s.Background.Seconds()*1000)
		case report.Memory:
			v = append(v, float64(s.Peak)/(1<<20))
		default:
			v = append(v, s.Own[metric])
		}
	}
	return v
}

// milliseconds is the time of a sample; microseconds if it is that of many things each.
func milliseconds(s measure.Sample) float64 {
	if s.Share > 0 {
		return s.Time.Seconds() * 1e6
	}
	return s.Time.Seconds() * 1000
}

// chosen returns the rows that are named, all without a name.
func chosen(names []string) ([]row, error) {
	if len(names) == 0 {
		return rows, nil
	}
	var found []row
	for _, n := range names {
		var known []string
		before := len(found)
		for _, r := range rows {
			known = append(known, r.name)
			if r.name == n {
				found = append(found, r)
			}
		}
		if len(found) == before {
			return nil, fmt.Errorf("no row %q; there are %s", n, strings.Join(known, ", "))
		}
	}
	return found, nil
}

// say tells the person who waits what is going on.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }

// none is the limit of a figure without a target.
var none = math.NaN()
