package timeline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pipex/lib/provenance"
	"pipex/lib/workspace"
)

func at(ms int64) workspace.Time { return workspace.Time{Time: time.UnixMilli(1_000_000 + ms)} }

// run returns a run that was prepared, started and finished at these milliseconds.
func run(id string, prepared, started, finished int64, inputs ...*provenance.Node) *provenance.Node {
	m := &workspace.Meta{RunID: id, Status: workspace.Success, PreparedAt: at(prepared)}
	s, f := at(started), at(finished)
	m.StartedAt, m.FinishedAt = &s, &f
	return &provenance.Node{ID: id, Step: id, Status: m.Status, Meta: m, Committed: true, Inputs: inputs}
}

func text(t *Timeline) string {
	var list []string
	for _, b := range t.Bars {
		s := fmt.Sprintf("%s@%d", b.Node.ID, b.Lane)
		if b.Critical {
			s += "!"
		}
		if b.After != nil {
			s += map[bool]string{true: "<", false: "~"}[b.Input] + b.After.Node.ID
		}
		list = append(list, fmt.Sprintf("%s+%d", s, b.Waited.Milliseconds()))
	}
	return strings.Join(list, " ")
}

// A run waits for its last input or, if it begins much later than that one ended, for another
// run to give room. The path of such waits leads from the beginning to the end of the build.
func TestWaits(t *testing.T) {
	a, b := run("a", 0, 10, 1000), run("b", 5, 15, 3000)
	c := run("c", 1100, 1110, 2000, a)
	d := run("d", 3100, 3110, 9000, c, a)
	e := run("e", 3050, 3060, 4000, b, c)
	l := New([]*provenance.Node{a, b, c, d, e}, time.Time{})
	if want := "a@0+0 b@1!+5 c@0<a+100 e@0<b+50 d@1!~b+100"; text(l) != want {
		t.Errorf("got  %s\nwant %s", text(l), want)
	}
	if l.Lanes != 2 || l.Total() != 9*time.Second || l.Idle != 50*time.Millisecond || l.Prepare != 50*time.Millisecond || l.Steps != (990+2985+890+5890+940)*time.Millisecond {
		t.Errorf("%+v", l)
	}
	var sum time.Duration
	for _, b := range l.Critical {
		sum += b.Waited + b.Finished.Sub(b.Prepared)
	}
	if sum != l.Total() {
		t.Errorf("the path takes %v of %v", sum, l.Total())
	}
}

// Records may say anything of times: runs that end before they begin, all at once, or before
// their inputs.
func TestOddTimes(t *testing.T) {
	a := run("a", 5, 5, 5)
	b := run("b", 5, 5, 5, a)
	a2 := run("late", 100, 100, 200)
	c := run("back", 50, 60, 10, a2)
	d := run("long ago", -10_000_000, 70, 80)
	s := at(75)
	d.Meta.Execs = []workspace.Exec{{Setup: true, StartedAt: at(70), FinishedAt: &s}}
	never := &provenance.Node{ID: "never", Meta: &workspace.Meta{}}
	l := New([]*provenance.Node{a, b, a2, c, d, never, {ID: "missing", Missing: true}}, time.Time{})
	if len(l.Bars) != 5 || len(l.Critical) != 5 || l.Total() != 195*time.Millisecond {
		t.Errorf("%s, %v", text(l), l.Total())
	}
	for _, b := range l.Bars {
		if b.Finished.Before(b.Started) || b.Waited < 0 || b.Node == d && b.SetUp.Sub(b.Started) != 5*time.Millisecond {
			t.Errorf("%+v", b)
		}
	}
	if e := New(nil, time.Time{}); e.Total() != 0 || e.Parallelism() != 0 || e.Critical != nil {
		t.Errorf("%+v", e)
	}
}

// A trace has for each run a part on its lane within which its other parts are, and arrows.
func TestChrome(t *testing.T) {
	a := run("a", 0, 10, 1000)
	b := run("b", 1100, 1110, 2000, a)
	b.Status = workspace.Failure
	var out bytes.Buffer
	if err := New([]*provenance.Node{a, b}, time.Time{}).WriteChrome(&out, "build", func(b *Bar) string { return b.Node.Step }); err != nil {
		t.Fatal(err)
	}
	var trace struct {
		TraceEvents []struct {
			Name, Ph string
			TS, Dur  int64
			TID      int
			Args     map[string]any
		}
	}
	if err := json.Unmarshal(out.Bytes(), &trace); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range trace.TraceEvents {
		if e.Ph != "M" {
			got = append(got, fmt.Sprintf("%s:%s:%d+%d", e.Ph, e.Name, e.TS, e.Dur))
		}
	}
	if want := "X:a:0+1000000 X:prepare:0+10000 X:exec:10000+990000 X:b:1100000+900000 X:prepare:1100000+10000 X:exec:1110000+890000 s:wait:999999+0 f:wait:1100000+0"; strings.Join(got, " ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
	}
}
