package report

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strconv"
	"time"
)

// Place is where and of what figures were measured. Times of different machines, or of
// different versions of what they need, cannot be compared.
type Place struct {
	CPU, Cores, Memory, Kernel, Filesystem string
	Go, Containerd, Runc                   string
}

// Entry is a figure with its place, as the history has it.
type Entry struct {
	Date, Commit string
	Place
	Figure
}

// head are the columns of the history.
var head = []string{
	"date", "commit", "cpu", "cores", "memory", "kernel", "filesystem", "go", "containerd", "runc",
	"row", "ours", "peer", "metric", "unit", "form", "ours is", "peer is", "value", "low", "high", "target", "rounds",
}

func (e Entry) record() []string {
	p, f := e.Place, e.Figure
	return []string{
		e.Date, e.Commit, p.CPU, p.Cores, p.Memory, p.Kernel, p.Filesystem, p.Go, p.Containerd, p.Runc,
		f.Row, f.Ours, f.Peer, f.Metric, f.Unit, string(f.Form),
		cell(f.OursIs), cell(f.PeerIs), cell(f.Value), cell(f.Low), cell(f.High), cell(f.Limit), strconv.Itoa(f.Rounds),
	}
}

func entry(r []string) (e Entry, err error) {
	var values [6]float64
	for i := range values {
		v, bad := value(r[16+i])
		values[i], err = v, errors.Join(err, bad)
	}
	rounds, bad := strconv.Atoi(r[22])
	return Entry{
		Date: r[0], Commit: r[1],
		Place: Place{r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9]},
		Figure: Figure{
			Row: r[10], Ours: r[11], Peer: r[12], Metric: r[13], Unit: r[14], Form: Form(r[15]),
			OursIs: values[0], PeerIs: values[1], Value: values[2], Low: values[3], High: values[4], Limit: values[5], Rounds: rounds,
		},
	}, errors.Join(err, bad)
}

// cell is a number of four digits, nothing for NaN.
func cell(v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

func value(s string) (float64, error) {
	if s == "" {
		return math.NaN(), nil
	}
	return strconv.ParseFloat(s, 64)
}

// Entries are the figures as entries of today.
func Entries(figures []Figure, p Place, commit string) (all []Entry) {
	for _, f := range figures {
		all = append(all, Entry{time.Now().UTC().Format(time.DateOnly), commit, p, f})
	}
	return all
}

// Read returns the history in a file, oldest first; nothing if there is none.
func Read(path string) ([]Entry, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.FieldsPerRecord = len(head)
	records, err := r.ReadAll()
	var all []Entry
	for i, record := range records {
		if i == 0 {
			continue
		}
		e, bad := entry(record)
		if bad != nil {
			return nil, fmt.Errorf("%s: line %d: %w", path, i+1, bad)
		}
		all = append(all, e)
	}
	return all, err
}

// Write writes a history to a file.
func Write(path string, all []Entry) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := csv.NewWriter(f)
	records := [][]string{head}
	for _, e := range all {
		records = append(records, e.record())
	}
	return errors.Join(w.WriteAll(records), f.Close())
}

// Newest returns the newest entry of each figure that was measured at this place, in the
// order in which the figures were measured last, and the entries of other commits before
// them, by key.
func Newest(all []Entry, p Place) (newest []Entry, before map[string]Entry) {
	at := map[string]int{}
	before = map[string]Entry{}
	for _, e := range all {
		if e.Place != p {
			continue
		}
		i, known := at[e.Key()]
		if !known {
			at[e.Key()] = len(newest)
			newest = append(newest, e)
			continue
		}
		if newest[i].Commit != e.Commit {
			before[e.Key()] = newest[i]
		}
		newest[i] = e
	}
	return newest, before
}

// slower is how much slower than before a figure must be to be called so: smaller
// differences are those of the days.
const slower = 1.1

// Slower says by how much the entry is slower than the one before it, "" if it is not.
// Ratios are compared where there are any, since a peer has the same bad day as we.
func (e Entry) Slower(before Entry) string {
	now, then := e.OursIs, before.OursIs
	if e.Form == Ratio {
		now, then = e.Value, before.Value
	}
	if then <= 0 || now/then <= slower {
		return ""
	}
	return fmt.Sprintf("%.0f %% slower than %s", (now/then-1)*100, before.Commit)
}
