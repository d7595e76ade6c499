package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"pipex/lib/cli"
	"pipex/lib/status"
	"pipex/lib/workspace"
)

// steps prints the steps and the open runs of a workspace.
func steps(c *cli.Call, out *bufio.Writer, ws *workspace.Workspace) error {
	linked, open, err := status.Read(c.Context.Context, ws)
	linked = status.Order(linked)
	since := status.MarkSucceeded(linked, open)
	if c.Bool("json") {
		lines := json.NewEncoder(out)
		lines.SetEscapeHTML(false)
		for _, r := range append(linked, open...) {
			if err := lines.Encode(r); err != nil {
				return err
			}
		}
		return err
	}
	if len(linked) > 0 || len(open) == 0 {
		table(out, "STEP", linked)
	}
	if len(open) > 0 {
		if len(linked) > 0 {
			fmt.Fprintln(out)
		}
		table(out, "OPEN", open)
	}
	if all := append(linked, open...); len(all) > 0 {
		fmt.Fprintf(out, "\n%s\n", total(linked, open))
	}
	if since > 0 {
		c.Say("%s of steps that have succeeded since; pipex-prune --failed removes them", status.Count(since, "failed open run"))
	}
	return err
}

// table prints rows under a head, in columns as wide as they need to be.
func table(out *bufio.Writer, first string, rows []*status.Row) {
	lines := [][]string{{first, "STATUS", "EXIT", "TIME", "MEMORY", "SIZE", "AGE", "RUN", "NOTE"}}
	for _, r := range rows {
		lines = append(lines, cells(r))
	}
	widths := make([]int, len(lines[0]))
	for _, l := range lines {
		for i, cell := range l {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, l := range lines {
		var b strings.Builder
		for i, cell := range l {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if 2 <= i && i <= 6 { // numbers
				cell, pad = pad+cell, ""
			}
			b.WriteString(cell + pad + "  ")
		}
		fmt.Fprintln(out, strings.TrimRight(b.String(), " "))
	}
}

func cells(r *status.Row) []string {
	step, exit, took, memory, size, ago := r.StepID, "-", "-", "-", "-", "-"
	if r.StepName != "" && r.StepName != r.StepID {
		step = strings.TrimSpace(step + " (" + r.StepName + ")")
	}
	if r.ExitCode != nil {
		exit = strconv.Itoa(*r.ExitCode)
	}
	if r.DurationMs != nil {
		took = status.Duration(time.Duration(*r.DurationMs) * time.Millisecond)
	}
	if r.PeakMemory > 0 {
		memory = status.Bytes(r.PeakMemory)
	}
	if r.ArtifactSize != nil {
		size = status.Bytes(*r.ArtifactSize)
	}
	if r.FinishedAt != nil {
		ago = status.Age(time.Since(r.FinishedAt.Time))
	}
	if step == "" {
		step = "-"
	}
	state := string(r.Status)
	if state == "" {
		state = "?"
	}
	return []string{cli.Short(step, 40), cli.Short(state, 12), exit, took, memory, size, ago, r.RunID, cli.Short(note(r), 120)}
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
func total(linked, open []*status.Row) string {
	var size, ms int64
	for _, r := range append(linked, open...) {
		if r.ArtifactSize != nil {
			size += *r.ArtifactSize
		}
		if r.DurationMs != nil {
			ms += *r.DurationMs
		}
	}
	text := status.Count(len(linked), "step")
	if len(open) > 0 {
		text += ", " + status.Count(len(open), "open run")
	}
	return fmt.Sprintf("%s, %s, %s", text, status.Bytes(size), status.Duration(time.Duration(ms)*time.Millisecond))
}
