// Package progress counts what work that may take long has done, for whoever shows it. It shows
// nothing itself, and costs an atomic addition where things are counted.
package progress

import (
	"strconv"
	"sync"
	"sync/atomic"

	units "github.com/docker/go-units"
)

// State is how far some work has come.
type State struct {
	// What says in a word or two what is done, such as "hashing".
	What string `json:"what"`
	// Unit names what Done counts, in the singular; empty if only bytes are counted, or nothing.
	Unit string `json:"unit,omitempty"`
	// Done of Of units are done, and Bytes of OfBytes. Of and OfBytes are 0 as long as they are not known.
	Done    int64 `json:"done,omitempty"`
	Of      int64 `json:"of,omitempty"`
	Bytes   int64 `json:"bytes,omitempty"`
	OfBytes int64 `json:"ofBytes,omitempty"`
}

// Work is work that has begun. All methods may be called by several goroutines.
type Work struct {
	what, unit               string
	done, of, bytes, ofBytes atomic.Int64
	users                    int    // under mu
	ended                    func() // may be nil
}

var (
	current atomic.Pointer[Work]
	mu      sync.Mutex
	watch   func() (ended func())
)

// Watch has begun called whenever work begins, and what it returns when that has ended, by the goroutines
// that begin and end it. Only a main program calls Watch, while there is no work.
func Watch(begun func() (ended func())) {
	mu.Lock()
	defer mu.Unlock()
	watch = begun
}

// Begin begins work, or takes part in the work that has begun: who knows best what is done begins first.
// Whoever calls Begin calls End.
func Begin(what, unit string) *Work {
	mu.Lock()
	w := current.Load()
	first := w == nil
	if first {
		w = &Work{what: what, unit: unit}
		current.Store(w)
	}
	w.users++
	begun := watch
	mu.Unlock()
	if first && begun != nil {
		w.ended = begun() // End is not called before
	}
	return w
}

// End ends the work when all who take part have ended it.
func (w *Work) End() {
	mu.Lock()
	w.users--
	last := w.users == 0
	if last {
		current.Store(nil)
	}
	mu.Unlock()
	if last && w.ended != nil {
		w.ended()
	}
}

// Of says how much there is to be done.
func (w *Work) Of(units, bytes int64) {
	w.of.Store(units)
	w.ofBytes.Store(bytes)
}

// Set says how much of it is done, for work that is counted elsewhere.
func (w *Work) Set(units, bytes int64) {
	w.done.Store(units)
	w.bytes.Store(bytes)
}

// Add counts what has been done, if any work has begun: n of a unit, if that is what the work counts, and bytes.
func Add(unit string, n, bytes int64) {
	w := current.Load()
	if w == nil {
		return
	}
	if n != 0 && unit == w.unit {
		w.done.Add(n)
	}
	if bytes != 0 {
		w.bytes.Add(bytes)
	}
}

// Now returns the state of the work that has begun; ok is false if there is none.
func Now() (s State, ok bool) {
	w := current.Load()
	if w == nil {
		return s, false
	}
	return State{What: w.what, Unit: w.unit, Done: w.done.Load(), Of: w.of.Load(), Bytes: w.bytes.Load(), OfBytes: w.ofBytes.Load()}, true
}

// String says it in a line: "hashing 12 of 100 files, 1.5GiB of 4GiB".
func (s State) String() string {
	text := s.What
	if s.Unit != "" && s.Done > 0 {
		text += " " + strconv.FormatInt(s.Done, 10)
		if s.Of > 0 {
			text += " of " + strconv.FormatInt(s.Of, 10)
		}
		text += " " + s.Unit
		if s.Of > 1 || s.Of == 0 && s.Done > 1 {
			text += "s"
		}
	}
	if s.Bytes > 0 {
		text += ", " + units.BytesSize(float64(s.Bytes))
		if s.OfBytes > 0 {
			text += " of " + units.BytesSize(float64(s.OfBytes))
		}
	}
	return text
}
