package timeline

import (
	"encoding/json"
	"io"
	"time"

	"pipex/lib/workspace"
)

// event is one of Chrome's Trace Event Format: "X" is a part with a duration, "M" a name, "s" and
// "f" are the ends of an arrow. Times are in microseconds.
type event struct {
	Name     string         `json:"name"`
	Category string         `json:"cat,omitempty"`
	Phase    string         `json:"ph"`
	At       int64          `json:"ts"`
	Took     *int64         `json:"dur,omitempty"`
	Process  int            `json:"pid"`
	Thread   int            `json:"tid"`
	ID       int            `json:"id,omitempty"`
	Bind     string         `json:"bp,omitempty"`
	Color    string         `json:"cname,omitempty"`
	Args     map[string]any `json:"args,omitempty"`
}

// WriteChrome writes the build in the Trace Event Format, which Perfetto and chrome://tracing
// open: a thread for each lane, with parts for prepare, setup and command, and an arrow from each
// run to those that waited for it. name returns what a run is called.
//
// See "Trace Event Format" in the documentation of Chromium's catapult.
func (t *Timeline) WriteChrome(w io.Writer, title string, name func(*Bar) string) error {
	events := []event{{Name: "process_name", Phase: "M", Process: 1, Args: map[string]any{"name": title}}}
	for lane := range t.Lanes {
		events = append(events, event{Name: "thread_name", Phase: "M", Process: 1, Thread: lane + 1, Args: map[string]any{"name": t.laneName(lane)}},
			event{Name: "thread_sort_index", Phase: "M", Process: 1, Thread: lane + 1, Args: map[string]any{"sort_index": lane}})
	}
	since := func(at time.Time) int64 { return at.Sub(t.Begin).Microseconds() }
	for i, b := range t.Bars {
		part := func(name, category string, from, to time.Time, color string, args map[string]any) {
			took := to.Sub(from).Microseconds()
			events = append(events, event{Name: name, Category: category, Phase: "X", At: since(from), Took: &took, Process: 1, Thread: b.Lane + 1, Color: color, Args: args})
		}
		args := map[string]any{"run": b.Node.ID, "status": b.Node.Status, "critical": b.Critical, "waitedMs": b.Waited.Milliseconds()}
		color := ""
		if b.Node.Status != workspace.Success {
			color = "terrible"
		}
		if b.After != nil {
			args["after"] = name(b.After)
		}
		part(name(b), "run", b.Prepared, b.Finished, color, args)
		if b.Started.After(b.Prepared) {
			part("prepare", "prepare", b.Prepared, b.Started, "", nil)
		}
		if b.SetUp.After(b.Started) {
			part("setup", "setup", b.Started, b.SetUp, "", nil)
		}
		part("exec", "exec", b.SetUp, b.Finished, color, nil)
		if a := b.After; a != nil {
			events = append(events,
				event{Name: "wait", Category: "wait", Phase: "s", At: max(since(a.Finished)-1, since(a.Prepared)), Process: 1, Thread: a.Lane + 1, ID: i + 1},
				event{Name: "wait", Category: "wait", Phase: "f", Bind: "e", At: since(b.Prepared), Process: 1, Thread: b.Lane + 1, ID: i + 1})
		}
	}
	return json.NewEncoder(w).Encode(map[string]any{"displayTimeUnit": "ms", "traceEvents": events,
		"otherData": map[string]any{"begin": t.Begin.UTC().Format(time.RFC3339Nano)}})
}

// laneName names a lane by its machine, if there are several.
func (t *Timeline) laneName(lane int) string {
	name := "lane"
	for _, h := range t.Hosts {
		if h.Lane <= lane && h.Name != "" {
			name = h.Name
		}
	}
	return name
}
