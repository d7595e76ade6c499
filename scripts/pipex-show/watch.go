package main

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"pipex/lib/cli"
	"pipex/lib/draw"
	"pipex/lib/status"
	"pipex/lib/workspace"
)

// watch shows what becomes of the rows until it is interrupted. A look takes at most a tenth of
// the time.
func watch(c *cli.Call, out *bufio.Writer, from *source) error {
	ctx := c.Context.Context
	v := changes{known: map[string]string{}}
	s := screen{table: table{Text: draw.Text{Colours: cli.Colours(os.Stdout)}, all: c.Bool("all")}}
	for {
		began := time.Now()
		all, err := from.read(ctx)
		if ctx.Err() != nil {
			return nil // an interrupt is the way to end it
		}
		if err != nil && len(all.linked)+len(all.open) == 0 {
			return err
		}
		if columns, height, is := cli.Screen(os.Stdout); is && !c.Bool("json") {
			s.draw(out, all, columns, height)
		} else if err := v.print(out, all, c.Bool("json")); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(max(time.Second, 10*time.Since(began))):
		}
	}
}

// screen is a table on a terminal that is drawn over and over at one place.
type screen struct {
	table
	drawn int // how many lines are on the terminal
}

// draw draws the rows over those that it drew before (ECMA-48: CUU, EL, ED, CUP), no line wider than
// the terminal and no more than it has.
func (s *screen) draw(out *bufio.Writer, all rows, columns, height int) {
	switch {
	case s.columns != 0 && s.columns != columns: // what was drawn is not where it was
		out.WriteString("\x1b[H\x1b[2J")
	case s.drawn > 0:
		fmt.Fprintf(out, "\x1b[%dA\r", s.drawn)
	}
	s.columns = columns
	lines := s.frame(all, height-1)
	for _, line := range lines {
		out.WriteString(line + "\x1b[K\n")
	}
	out.WriteString("\x1b[J")
	s.drawn = len(lines)
}

// frame returns at most height lines: of the open runs the running ones come first and are kept
// first, of the steps the last ones.
func (s *screen) frame(all rows, height int) []string {
	rank := map[workspace.Status]int{workspace.Running: -2, workspace.Prepared: -1}
	open := slices.Clone(all.open)
	slices.SortStableFunc(open, func(a, b *status.Row) int { return cmp.Compare(rank[a.Status], rank[b.Status]) })
	t := status.Tallied(all.linked, all.open)
	summary := fmt.Sprintf("%s  %d of %s done", time.Now().Format(time.TimeOnly), t.Done, status.Count(t.Steps, "step"))
	if t.Running > 0 {
		summary += fmt.Sprintf(", %d running", t.Running)
	}
	if t.Failed > 0 {
		summary += fmt.Sprintf(", %d failed", t.Failed)
	}
	steps, runs := s.lines("STEP", all.linked), []string(nil)
	if len(open) > 0 {
		runs = append([]string{""}, s.lines("OPEN", open)...)
	}
	room := height - 2 // for both tables; the summary comes after an empty line
	few := min(len(steps), max(room/3, 4))
	runs = s.head(runs, room-few)
	steps = s.tail(steps, room-len(runs))
	lines := slices.Concat(steps, runs, []string{"", draw.Clean(summary, s.columns)})
	return lines[max(0, len(lines)-height):]
}

// head and tail return at most n lines of a table: its head, and the first or the last rows.
func (s *screen) head(lines []string, n int) []string {
	if len(lines) <= n || n < 3 {
		return lines[:min(len(lines), max(n, 0))]
	}
	return append(slices.Clone(lines[:n-1]), s.more(len(lines)-n+1))
}

func (s *screen) tail(lines []string, n int) []string {
	if len(lines) <= n || n < 3 {
		return lines[:min(len(lines), max(n, 0))]
	}
	return append([]string{lines[0], s.more(len(lines) - n + 1)}, lines[len(lines)-n+2:]...)
}

func (s *screen) more(n int) string {
	return s.Weak(draw.Clean(fmt.Sprintf("… %d more", n), s.columns))
}

// changes are what is printed where no table can be drawn: each row when it is first seen, and
// whenever it is another one.
type changes struct{ known map[string]string }

func (v *changes) print(out *bufio.Writer, all rows, json bool) error {
	now := map[string]string{}
	for _, r := range append(all.linked, all.open...) {
		key := strings.Join([]string{r.Workspace, r.StepID, r.RunID}, "\x00")
		now[key] = fmt.Sprint(r.Status, value(r.ExitCode, func(n int) string { return fmt.Sprint(n) }), r.Linked, r.Open, r.Reason, r.SucceededSince)
		if v.known[key] == now[key] {
			continue
		}
		if json {
			if err := object(out, r); err != nil {
				return err
			}
			continue
		}
		line := []string{time.Now().Format(time.TimeOnly), stepName(r), draw.Clean(string(r.Status), 12), r.RunID, draw.Clean(note(r), 120)}
		if r.Workspace != "" {
			line = slices.Insert(line, 1, draw.Clean(r.Workspace, 40))
		}
		fmt.Fprintln(out, strings.TrimRight(strings.Join(line, "  "), " "))
	}
	v.known = now
	return nil
}
