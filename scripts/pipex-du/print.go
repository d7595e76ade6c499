package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"pipex/lib/cli"
	"pipex/lib/status"
)

// row is a line of the output, in bytes. Prune is what prune would free.
type row struct {
	label string
	What  string `json:"what"`
	Count int    `json:"count"`
	Bytes int64  `json:"bytes"`
	Prune int64  `json:"prune"`
}

// rows returns the lines for the parts.
func (m *measured) rows() []row {
	of := func(label, what string, p part) row { return row{label, what, p.count, p.bytes, p.prune} }
	rows := []row{of("committed runs", "runs", m.runs), of("open runs", "open", m.open), of("caches", "caches", m.caches), of("other files", "other", m.own)}
	if i := m.images; i != nil {
		rows = append(rows, row{"images", "images", i.Images, i.Bytes, i.Prunable}, row{"container roots", "roots", i.Roots, i.RootBytes, 0})
	}
	return rows
}

// stepRow is a line for a step; Step is empty for the runs that belong to none.
type stepRow struct {
	Step   string `json:"step"`
	Runs   int    `json:"runs"`
	Bytes  int64  `json:"bytes"`
	Newest int64  `json:"newest"`
	Prune  int64  `json:"prune"`
}

func (m *measured) stepRows() (rows []stepRow) {
	for _, s := range m.steps {
		rows = append(rows, stepRow{s.name, s.count, s.bytes, s.newest, s.prune})
	}
	slices.SortFunc(rows, func(a, b stepRow) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Step, b.Step))
	})
	return rows
}

// print prints what was measured, as a table with a total or as JSON.
func (m *measured) print(to io.Writer, steps, asJSON bool) error {
	switch {
	case steps && asJSON:
		return encode(to, m.stepRows())
	case steps:
		t := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "STEP\tRUNS\tSIZE\tNEWEST\tPRUNE")
		for _, r := range m.stepRows() {
			fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\n", cmp.Or(cli.Harmless(r.Step), "-"), r.Runs, status.Bytes(r.Bytes), status.Bytes(r.Newest), status.Bytes(r.Prune))
		}
		return t.Flush()
	case asJSON:
		return encode(to, m.rows())
	}
	t := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "WHAT\tCOUNT\tSIZE\tPRUNE")
	var bytes, prune int64
	for _, r := range m.rows() {
		count := fmt.Sprint(r.Count)
		if r.What == "other" {
			count = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", r.label, count, status.Bytes(r.Bytes), status.Bytes(r.Prune))
		bytes, prune = bytes+r.Bytes, prune+r.Prune
	}
	fmt.Fprintf(t, "total\t\t%s\t%s\n", status.Bytes(bytes), status.Bytes(prune))
	return t.Flush()
}

func encode[T any](to io.Writer, rows []T) error {
	lines := json.NewEncoder(to)
	for _, r := range rows {
		if err := lines.Encode(r); err != nil {
			return err
		}
	}
	return nil
}
