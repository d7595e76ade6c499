package status

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pipex/lib/step"
	"pipex/lib/workspace"
)

func at(seconds int64) *workspace.Time { return &workspace.Time{Time: time.Unix(seconds, 0)} }

func reads(steps ...string) *workspace.Meta {
	m := &workspace.Meta{}
	for _, s := range steps {
		m.Inputs = append(m.Inputs, step.PinnedInput{Step: s})
	}
	return m
}

// A step comes after those that it reads, also if they ran again later; a circle, which
// links of different times may form, ends.
func TestOrder(t *testing.T) {
	for want, rows := range map[string][]*Row{
		"a b c": {{StepID: "c", StartedAt: at(3)}, {StepID: "b", StartedAt: at(2)}, {StepID: "a", StartedAt: at(1)}},
		"c a b": {{StepID: "a", StartedAt: at(1), Meta: reads("c")}, {StepID: "b", StartedAt: at(2)}, {StepID: "c", StartedAt: at(3)}},
		"b a":   {{StepID: "a", StartedAt: at(1), Meta: reads("b", "gone")}, {StepID: "b", StartedAt: at(2), Meta: reads("a")}},
		"x y":   {{StepID: "y", RunID: "2"}, {StepID: "x", RunID: "1", Meta: reads("x")}},
	} {
		var got []string
		for _, r := range Order(rows) {
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
	n := MarkSucceeded(linked, open)
	if marked := slices.IndexFunc(open[1:], func(r *Row) bool { return r.SucceededSince }); n != 1 || !open[0].SucceededSince || marked >= 0 {
		t.Errorf("%d, %d", n, marked)
	}
}

func TestUnits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0ms", 999 * time.Millisecond: "999ms", 1500 * time.Millisecond: "1.5s", 59 * time.Second: "59s",
		61 * time.Second: "1m01s", 47 * time.Hour: "47h00m", 72 * time.Hour: "3d",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{-time.Second: "0s", 999 * time.Millisecond: "0s", 2500 * time.Millisecond: "2s", 59900 * time.Millisecond: "59s", 61 * time.Second: "1m01s"} {
		if got := Age(d); got != want {
			t.Errorf("%v ago: %s, want %s", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0B", 1023: "1023B", 1536: "1.5K", 5 << 30: "5G"} {
		if got := Bytes(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
