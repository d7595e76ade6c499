package main

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"pipex/lib/draw"
	"pipex/lib/status"
	"pipex/lib/workspace"
)

// A record that another tool wrote may hold anything; a terminal sees none of it.
func TestTableIsHarmless(t *testing.T) {
	lines := table{}.lines("STEP", []*status.Row{{StepID: "a", StepName: "\x1b[31m\nred", Status: "\x07", Reason: strings.Repeat("é", 500) + "\xff"}})
	all := strings.Join(lines, "\n")
	if len(lines) != 2 || strings.Count(all, "\n") != 1 || strings.ContainsAny(all, "\x1b\x07") || !utf8.ValidString(all) || len([]rune(lines[1])) > 250 || !strings.HasPrefix(lines[1], "a (?[31m?red)  ?") {
		t.Errorf("%q", all)
	}
}

// No line is wider than the terminal, and no picture higher: the running runs and the last steps
// are seen in any case.
func TestFrameFits(t *testing.T) {
	var all rows
	for i := range 40 {
		all.linked = append(all.linked, &status.Row{StepID: fmt.Sprint("step", i), StepName: "日本語 is wide", RunID: fmt.Sprint("1-", i), Status: workspace.Success})
		all.open = append(all.open, &status.Row{StepID: fmt.Sprint("open", i), RunID: fmt.Sprint("2-", i), Status: workspace.Failure})
	}
	all.open[39].Status = workspace.Running
	for height := range 50 {
		for _, columns := range []int{1, 7, 20, 40, 80, 300} {
			s := screen{table: table{columns: columns}}
			lines := s.frame(all, height)
			if len(lines) > height {
				t.Fatalf("%d lines on %d", len(lines), height)
			}
			for _, line := range lines {
				if draw.Width(line) > columns {
					t.Fatalf("%q is %d wide, not %d", line, draw.Width(line), columns)
				}
			}
			text := strings.Join(lines, "\n")
			if height > 14 && columns > 20 && !(strings.Contains(text, "open39") && strings.Contains(text, "step39") && strings.Contains(text, "more") && strings.Contains(text, "40 of 80 steps done")) {
				t.Errorf("at %d x %d:\n%s", columns, height, text)
			}
		}
	}
}
