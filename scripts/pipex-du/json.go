package main

import (
	"cmp"
	"encoding/json"
	"io"
	"slices"
)

// row is a part in JSON, in bytes. Prune is what prune would free. Workspace is empty for what no workspace has.
type row struct {
	label     string
	Workspace string `json:"workspace,omitempty"`
	What      string `json:"what"`
	Count     int    `json:"count"`
	Bytes     int64  `json:"bytes"`
	Prune     int64  `json:"prune"`
}

// rows returns the lines for the parts.
func (m *measured) rows() (rows []row) {
	for _, s := range m.spaces {
		of := func(label, what string, p part) {
			rows = append(rows, row{label, m.name(s), what, p.count, p.bytes, p.prune})
		}
		of("committed runs", "runs", s.runs)
		of("open runs", "open", s.open)
		of("caches", "caches", s.caches)
		of("other files", "other", s.own)
	}
	if i := m.images; i != nil {
		rows = append(rows, row{"images", "", "images", i.Images, i.Bytes, i.Prunable}, row{"container roots", "", "roots", i.Roots, i.RootBytes, 0})
	}
	return rows
}

// stepRow is a step in JSON; Step is empty for the runs that belong to none.
type stepRow struct {
	Workspace string `json:"workspace,omitempty"`
	Step      string `json:"step"`
	Runs      int    `json:"runs"`
	Bytes     int64  `json:"bytes"`
	Newest    int64  `json:"newest"`
	Prune     int64  `json:"prune"`
}

// stepRows returns the lines for the steps, that which occupies most first.
func (m *measured) stepRows() (rows []stepRow) {
	for _, s := range m.spaces {
		for _, p := range s.steps {
			rows = append(rows, stepRow{m.name(s), p.name, p.count, p.bytes, p.newest, p.prune})
		}
	}
	slices.SortFunc(rows, func(a, b stepRow) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Workspace, b.Workspace), cmp.Compare(a.Step, b.Step))
	})
	return rows
}

// name returns the name of the workspace, if names are printed.
func (m *measured) name(s *space) string {
	if m.named {
		return s.workspace
	}
	return ""
}

// lines prints what was measured as JSON.
func (m *measured) lines(to io.Writer, steps bool) error {
	if steps {
		return encode(to, m.stepRows())
	}
	return encode(to, m.rows())
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
