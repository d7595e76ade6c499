package main

import (
	"bufio"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pipex/lib/workspace"
)

func at(seconds int64) *workspace.Time { return &workspace.Time{Time: time.Unix(seconds, 0)} }

// A step comes after those that it reads, also if they ran again later; a circle, which
// links of different times may form, ends.
func TestOrder(t *testing.T) {
	for want, rows := range map[string][]*Row{
		"a b c": {{StepID: "c", StartedAt: at(3)}, {StepID: "b", StartedAt: at(2)}, {StepID: "a", StartedAt: at(1)}},
		"c a b": {{StepID: "a", StartedAt: at(1), inputs: []string{"c"}}, {StepID: "b", StartedAt: at(2)}, {StepID: "c", StartedAt: at(3)}},
		"b a":   {{StepID: "a", StartedAt: at(1), inputs: []string{"b", "gone"}}, {StepID: "b", StartedAt: at(2), inputs: []string{"a"}}},
		"x y":   {{StepID: "y", RunID: "2"}, {StepID: "x", RunID: "1", inputs: []string{"x"}}},
	} {
		var got []string
		for _, r := range order(rows) {
			got = append(got, r.StepID)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%v, want %s", got, want)
		}
	}
}

// Only failures from before the success of the same step are marked.
func TestMarkSucceeded(t *testing.T) {
	linked := []*Row{{StepID: "a", Status: workspace.Success, FinishedAt: at(5)}, {StepID: "b", Status: workspace.Failure, FinishedAt: at(5)}}
	open := []*Row{
		{StepID: "a", Status: workspace.Failure, FinishedAt: at(4)}, {StepID: "a", Status: workspace.Failure, FinishedAt: at(6)},
		{StepID: "b", Status: workspace.Failure, FinishedAt: at(4)}, {StepID: "c", Status: workspace.Failure, FinishedAt: at(4)},
		{StepID: "a", Status: workspace.Running},
	}
	n := markSucceeded(linked, open)
	if marked := slices.IndexFunc(open[1:], func(r *Row) bool { return r.SucceededSince }); n != 1 || !open[0].SucceededSince || marked >= 0 {
		t.Errorf("%d, %d", n, marked)
	}
}

// A record that another tool wrote may hold anything; a terminal sees none of it.
func TestTableIsHarmless(t *testing.T) {
	var b strings.Builder
	out := bufio.NewWriter(&b)
	table(out, "STEP", []*Row{{StepID: "a", StepName: "\x1b[31m\nred", Status: "\x07", Reason: strings.Repeat("é", 500) + "\xff"}})
	out.Flush()
	lines := strings.Split(b.String(), "\n")
	if len(lines) != 3 || strings.ContainsAny(b.String(), "\x1b\x07") || !utf8.ValidString(b.String()) || len([]rune(lines[1])) > 250 || !strings.HasPrefix(lines[1], "a (?[31m?red)  ?") {
		t.Errorf("%q", b.String())
	}
}

func TestUnits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0ms", 999 * time.Millisecond: "999ms", 1500 * time.Millisecond: "1.5s", 59 * time.Second: "59s",
		61 * time.Second: "1m01s", 47 * time.Hour: "47h00m", 72 * time.Hour: "3d",
	} {
		if got := duration(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{-time.Second: "0s", 999 * time.Millisecond: "0s", 2500 * time.Millisecond: "2s", 59900 * time.Millisecond: "59s", 61 * time.Second: "1m01s"} {
		if got := age(d); got != want {
			t.Errorf("%v ago: %s, want %s", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0B", 1023: "1023B", 1536: "1.5K", 5 << 30: "5G"} {
		if got := bytes(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
