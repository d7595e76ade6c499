package measure

import "time"

// Subject is one of those that are compared. Before and After are not measured, and may
// be nil.
type Subject struct {
	Name   string
	Before func() error
	Do     func(*Sample) error
	After  func() error
	// Elsewhere says that a daemon which is not measured does a part of the work, so that
	// CPU is not all of it.
	Elsewhere bool
}

// Sample is what a subject has cost in one round.
type Sample struct {
	Time time.Duration
	// CPU includes what goes on in the background when Do has returned.
	CPU time.Duration
	// Background is the time from when Do has returned until nothing of it runs.
	Background time.Duration
	// Peak is the most memory that a process had, in bytes, if Do sets it.
	Peak int64
	// Share is by how many things the time is divided, if Do sets it: the time is then that
	// of each.
	Share int
	// Own are values that Do sets, for rows that are not about time.
	Own map[string]float64
}

// Set adds a value of Do's own.
func (s *Sample) Set(metric string, value float64) {
	if s.Own == nil {
		s.Own = map[string]float64{}
	}
	s.Own[metric] = value
}

// Rounds lets the subjects take turns, warm rounds unmeasured and then n measured ones. Each
// round begins with another subject, so that none is always the one after a certain other. It
// returns the samples of each subject.
func (m *Meter) Rounds(subjects []Subject, warm, n int) ([][]Sample, error) {
	samples := make([][]Sample, len(subjects))
	for round := range warm + n {
		for i := range subjects {
			turn := (i + round) % len(subjects)
			s, err := m.turn(subjects[turn])
			if err != nil {
				return nil, err
			}
			if round >= warm {
				samples[turn] = append(samples[turn], s)
			}
		}
	}
	return samples, nil
}

func (m *Meter) turn(s Subject) (sample Sample, err error) {
	if s.Before != nil {
		if err := s.Before(); err != nil {
			return sample, err
		}
	}
	if err := m.Settle(); err != nil {
		return sample, err
	}
	before, err := m.CPU()
	if err != nil {
		return sample, err
	}
	began := time.Now()
	if err := s.Do(&sample); err != nil {
		return sample, err
	}
	sample.Time = time.Since(began)
	done := time.Now()
	if err := m.Settle(); err != nil {
		return sample, err
	}
	sample.Background = time.Since(done)
	if sample.Share > 0 {
		sample.Time /= time.Duration(sample.Share)
	}
	after, err := m.CPU()
	if err != nil {
		return sample, err
	}
	sample.CPU = after - before
	if s.After != nil {
		err = s.After()
	}
	return sample, err
}
