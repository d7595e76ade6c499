package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"pipex/lib/cli"
	"pipex/lib/draw"
	"pipex/lib/status"
)

// steps prints the steps and the open runs.
func steps(c *cli.Call, out *bufio.Writer, from *source) error {
	all, err := from.read(c.Context.Context)
	if c.Bool("json") {
		for _, r := range append(all.linked, all.open...) {
			if err := object(out, r); err != nil {
				return err
			}
		}
		return err
	}
	t := table{Text: draw.Text{Colours: cli.Colours(os.Stdout)}, all: c.Bool("all")}
	var lines []string
	if len(all.linked) > 0 || len(all.open) == 0 {
		lines = t.lines("STEP", all.linked)
	}
	if len(all.open) > 0 {
		if len(lines) > 0 {
			lines = append(lines, "")
		}
		lines = append(lines, t.lines("OPEN", all.open)...)
	}
	for _, line := range lines {
		fmt.Fprintln(out, line)
	}
	if len(all.linked)+len(all.open) > 0 {
		fmt.Fprintf(out, "\n%s\n", total(all))
	}
	if all.since > 0 {
		c.Say("%s of steps that have succeeded since; pipex-prune --failed removes them", status.Count(all.since, "failed open run"))
	}
	return err
}

// object prints a row as JSON.
func object(out *bufio.Writer, r *status.Row) error {
	line := json.NewEncoder(out)
	line.SetEscapeHTML(false)
	return line.Encode(r)
}

// table says how a table is written.
type table struct {
	draw.Text
	all     bool // with a column for the workspace
	columns int  // how wide it may be at most; 0 for as wide as it is
}

// column is a column of a table.
type column struct {
	head  string
	right bool // aligned to the right, as numbers are
	cell  func(*status.Row) string
}

var columns = []column{
	{"STATUS", false, func(r *status.Row) string { return draw.Clean(or(string(r.Status), "?"), 12) }},
	{"EXIT", true, func(r *status.Row) string { return value(r.ExitCode, strconv.Itoa) }},
	{"TIME", true, func(r *status.Row) string {
		return value(r.DurationMs, func(ms int64) string { return status.Duration(time.Duration(ms) * time.Millisecond) })
	}},
	{"MEMORY", true, func(r *status.Row) string {
		if r.PeakMemory <= 0 {
			return "-"
		}
		return status.Bytes(r.PeakMemory)
	}},
	{"SIZE", true, func(r *status.Row) string { return value(r.ArtifactSize, status.Bytes) }},
	{"AGE", true, func(r *status.Row) string {
		if r.FinishedAt == nil {
			return "-"
		}
		return status.Age(time.Since(r.FinishedAt.Time))
	}},
	{"INPUTS", false, func(r *status.Row) string { return draw.Clean(inputs(r), 30) }},
	{"RUN", false, func(r *status.Row) string { return r.RunID }},
	{"NOTE", false, func(r *status.Row) string { return draw.Clean(note(r), 120) }},
}

// lines returns a table of rows under a head, in columns as wide as they need to be. If the
// terminal is too narrow, columns that can be missed are left out, and then lines cut.
func (t table) lines(first string, rows []*status.Row) []string {
	all := append([]column{{first, false, stepName}}, columns...)
	if t.all {
		all = append([]column{{"WORKSPACE", false, func(r *status.Row) string { return draw.Clean(r.Workspace, 40) }}}, all...)
	}
	if slices.ContainsFunc(rows, func(r *status.Row) bool { return r.Host != rows[0].Host && r.Host != "" && rows[0].Host != "" }) {
		at := slices.IndexFunc(all, func(col column) bool { return col.head == "INPUTS" })
		all = slices.Insert(slices.Clone(all), at, column{"NODE", false, func(r *status.Row) string { return draw.Clean(or(r.Host, "-"), 30) }})
	}
	cells, widths := t.cells(all, rows)
	for _, needless := range []string{"RUN", "INPUTS", "MEMORY", "SIZE", "AGE"} {
		if i := slices.IndexFunc(all, func(col column) bool { return col.head == needless }); t.columns > 0 && wanted(widths) > t.columns {
			all = slices.Delete(slices.Clone(all), i, i+1)
			cells, widths = t.cells(all, rows)
		}
	}
	lines := make([]string, len(cells))
	for j, line := range cells {
		var b strings.Builder
		gap, used := 0, 0
		for i, cell := range line {
			pad := widths[i] - draw.Width(cell)
			if all[i].right {
				gap, pad = gap+pad, 0
			}
			if cell != "" {
				if t.columns > 0 && used+gap+draw.Width(cell) > t.columns {
					if cell = draw.Clean(cell, t.columns-used-gap); cell == "" || t.columns <= used+gap {
						break
					}
				}
				b.WriteString(strings.Repeat(" ", gap))
				used += gap + draw.Width(cell)
				gap = 0
				switch {
				case j == 0 || all[i].head == "RUN":
					cell = t.Weak(cell)
				case all[i].head == "STATUS":
					cell = t.Status(rows[j-1].Status, cell)
				}
				b.WriteString(cell)
			}
			gap += pad + 2
		}
		lines[j] = b.String()
	}
	return lines
}

// cells returns the head and the rows, and how wide the columns are.
func (t table) cells(all []column, rows []*status.Row) (cells [][]string, widths []int) {
	cells, widths = make([][]string, 1+len(rows)), make([]int, len(all))
	for i, col := range all {
		cells[0] = append(cells[0], col.head)
		for j, r := range rows {
			cells[j+1] = append(cells[j+1], col.cell(r))
		}
		for _, line := range cells {
			widths[i] = max(widths[i], draw.Width(line[i]))
		}
	}
	return cells, widths
}

// wanted is how many columns of the terminal a table should have: of the last one, the notes, as
// much as says something.
func wanted(widths []int) (sum int) {
	for _, w := range widths[:len(widths)-1] {
		sum += w + 2
	}
	return sum + min(widths[len(widths)-1], 30)
}

func value[T any](v *T, text func(T) string) string {
	if v == nil {
		return "-"
	}
	return text(*v)
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// stepName returns the step and its title.
func stepName(r *status.Row) string {
	step := r.StepID
	if r.StepName != "" && r.StepName != r.StepID {
		step = strings.TrimSpace(step + " (" + r.StepName + ")")
	}
	return draw.Clean(or(step, "-"), 40)
}

// inputs names the steps that a run reads.
func inputs(r *status.Row) string {
	var names []string
	for _, in := range r.Inputs {
		names = append(names, or(in.StepID, in.RunID))
	}
	return or(strings.Join(names, ","), "-")
}

func note(r *status.Row) string {
	notes := []string{}
	if r.Reason != "" {
		notes = append(notes, r.Reason)
	}
	if r.Meta != nil && r.Meta.Changed() != "" {
		notes = append(notes, "inputs changed after it was prepared: "+r.Meta.Changed())
	}
	if r.SucceededSince {
		notes = append(notes, "the step has succeeded since")
	}
	return strings.Join(notes, "; ")
}

// total says what the rows are together.
func total(all rows) string {
	var size, ms int64
	for _, r := range append(all.linked, all.open...) {
		if r.ArtifactSize != nil {
			size += *r.ArtifactSize
		}
		if r.DurationMs != nil {
			ms += *r.DurationMs
		}
	}
	text := status.Count(len(all.linked), "step")
	if len(all.open) > 0 {
		text += ", " + status.Count(len(all.open), "open run")
	}
	return fmt.Sprintf("%s, %s, %s", text, status.Bytes(size), status.Duration(time.Duration(ms)*time.Millisecond))
}
