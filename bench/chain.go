package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"pipex/bench/internal/measure"
)

// own is the time of each step's command in chainRow.
const own = 20 * time.Millisecond

var chainRow = row{
	name: "chain", about: "a chain of 200 steps, and a fan of 500 at -j8, by make: what a step costs besides its command's own time", rounds: 2,
	contests: func(s *site) ([]contest, error) {
		options, command := "--image busybox", fmt.Sprint("usleep ", own.Microseconds())
		length, width := s.size(200, 8), s.size(500, 16)
		return []contest{
			s.build("chain", 1, grid(1, length, options, command)),
			s.build("fan", 8, grid(width, 1, options, command)),
		}, nil
	},
}

// build makes all steps, and compares its last quarter with its first.
func (s *site) build(name string, jobs int, steps []target) contest {
	return contest{
		name: name,
		alone: []metric{
			{"overhead of a step", "ms", none},
			{"first quarter", "ms", none},
			{"last quarter", "ms", none},
			{"last to first quarter", "×", 1.1},
		},
		ours: func(b binaries) measure.Subject {
			var p *project
			return measure.Subject{
				Name: fmt.Sprintf("make -j%d of %d steps", jobs, len(steps)),
				Before: func() error {
					p = s.project(b, steps)
					return nil
				},
				Do: func(sample *measure.Sample) error {
					began := time.Now()
					if err := p.make("-s", fmt.Sprint("-j", jobs)); err != nil {
						return err
					}
					return p.quarters(sample, began, time.Now(), jobs, len(steps))
				},
			}
		},
	}
}

// quarters sets what a step costs on average from one end to the next, besides the time of
// its own command: of all steps, and of the first and the last quarter of them. The first
// quarter begins when as many as four times the jobs have ended.
func (p *project) quarters(sample *measure.Sample, began, ended time.Time, jobs, steps int) error {
	ends, err := p.ends()
	if err == nil && len(ends) != steps {
		err = fmt.Errorf("%d steps have made %d runs", steps, len(ends))
	}
	if err != nil {
		return err
	}
	n, mine := len(ends), own.Seconds()*1000/float64(jobs)
	span := func(from, to time.Time, steps int) float64 {
		return to.Sub(from).Seconds()*1000/float64(steps) - mine
	}
	q := n / 4
	// The first steps end almost together, and nothing of others is removed meanwhile.
	start := min(4*jobs, q)
	first, last := span(ends[start], ends[start+q], q), span(ends[n-1-q], ends[n-1], q)
	sample.Set("overhead of a step", span(began, ended, n))
	sample.Set("first quarter", first)
	sample.Set("last quarter", last)
	sample.Set("last to first quarter", last/first)
	return nil
}

// ends are the times at which the steps' commands ended, in order.
func (p *project) ends() ([]time.Time, error) {
	records, err := filepath.Glob(filepath.Join(p.dir, "workdir/default/runs/*/meta.json"))
	if err != nil {
		return nil, err
	}
	var ends []time.Time
	for _, path := range records {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var record struct {
			FinishedAt time.Time `json:"finishedAt"`
		}
		if err := json.Unmarshal(data, &record); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		ends = append(ends, record.FinishedAt)
	}
	slices.SortFunc(ends, time.Time.Compare)
	return ends, nil
}
