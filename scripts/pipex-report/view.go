package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"pipex/lib/cli"
	"pipex/lib/status"
	"pipex/lib/step"
	"pipex/lib/workspace"
)

// The classes of runs, by which the page colours them.
const (
	good = "ok"
	bad  = "bad"
	busy = "busy"
	idle = "idle"
)

// classes are all, those to look at first.
var classes = []string{bad, busy, good, idle}

func class(row *status.Row) string {
	switch row.Status {
	case workspace.Success:
		return good
	case workspace.Running:
		return busy
	case workspace.Prepared:
		return idle
	}
	return bad
}

// marks stand before the status, for those who do not see colours.
var marks = map[string]string{good: "✓", bad: "✗", busy: "▶", idle: "○"}

// entry is a run as the page shows it: a row of the table, and its details.
type entry struct {
	N                                 int
	Name, Title, ID                   string
	Class, Mark, Status, Exit, Reason string
	Started, Finished                 *moment
	Elapsed, Memory, CPU              measure
	Size                              measure
	Image                             string
	Facts                             []fact
	Used, Command                     string
	Inputs                            []input
	InputsMore, Reads, Stale          int
	Mounts                            []mount
	MountsMore                        int
	First                             bool // there is no run of its step before it
	Same                              bool // nothing differs from it
	Files                             string
	*details                          // nil if there are none
}

// To is where the page has the run's details; "" if it has none.
func (r *entry) To() string {
	if r.details == nil {
		return ""
	}
	return "#r" + strconv.Itoa(r.N)
}

// fact is something that a record says, in words.
type fact struct{ Name, Value string }

// input is a run that was read. N is its number on the page, 0 if it is not there.
type input struct {
	N                     int
	Step, Run, At, Digest string
	Stale                 bool // the step is linked to other artifacts now
}

// mount is a mount or a source.
type mount struct{ Kind, Host, At, Digest string }

// measure is a number and, if Of is given, how much of a limit it is, in percent.
type measure struct {
	Text, Of string
	Value    int64
	Share    int
}

// measured returns a measure; of is in words.
func measured(text string, value int64, limit float64, of string) measure {
	m := measure{Text: text, Value: value}
	if limit > 0 {
		m.Of, m.Share = of, int(math.Round(100*min(max(float64(value)/limit, 0), 1)))
	}
	return m
}

func milliseconds(ms int64) string { return status.Duration(time.Duration(ms) * time.Millisecond) }

// view returns a row as the page shows it. numbers has the numbers of all runs of the page, stale
// the steps that are linked to other artifacts than the run has read.
func (rd *reader) view(n int, row *status.Row, d *details, numbers map[string]int, stale []string) *entry {
	l := rd.limit
	r := &entry{
		N: n, Name: cli.Short(row.StepID, 128), ID: cli.Short(row.RunID, 128), details: d,
		Class: class(row), Status: cli.Short(string(row.Status), 20), Reason: reason(row, 2000),
		Started: at(row.StartedAt), Finished: at(row.FinishedAt),
	}
	if r.Class == bad {
		l = l.failed()
	}
	if r.Name == "" {
		r.Name = r.ID
	}
	if r.Name == "" {
		r.Name = "?"
	}
	if r.Status == "" {
		r.Status = "?"
	}
	if row.StepName != row.StepID {
		r.Title = cli.Short(row.StepName, 80)
	}
	r.Mark = marks[r.Class]
	if row.ExitCode != nil {
		r.Exit = strconv.Itoa(*row.ExitCode)
	}
	if row.ArtifactSize != nil {
		r.Size = measure{Text: status.Bytes(*row.ArtifactSize), Value: *row.ArtifactSize}
	}
	m := row.Meta
	if m == nil {
		m = new(workspace.Meta)
	}
	r.measure(row, m)
	r.Used = r.used()
	r.Image = cli.Short(m.Image, 100)
	r.Facts = facts(row, m, l.text)
	if cmd := command(m); len(cmd) > 0 {
		r.Command = cli.Short(step.Quote(first(cmd, l.text)), l.text)
	}
	r.Reads, r.Stale = len(m.Inputs), len(stale)
	r.InputsMore = max(len(m.Inputs)-l.list, 0)
	for _, in := range m.Inputs[:len(m.Inputs)-r.InputsMore] {
		at := cli.Short(in.MountedAs, 200)
		if in.Copied {
			at = strings.TrimSpace(at + " copied into the output")
		}
		r.Inputs = append(r.Inputs, input{N: numbers[in.RunID], Step: cli.Short(in.Step, 128), Run: cli.Short(in.RunID, 128), At: at, Digest: cut(in.Digest, l.digest), Stale: slices.Contains(stale, in.Step)})
	}
	mounts := slices.Concat(m.Mounts, m.Sources)
	r.MountsMore = max(len(mounts)-l.list, 0)
	for i, mt := range mounts[:len(mounts)-r.MountsMore] {
		kind := "mount"
		if i >= len(m.Mounts) {
			kind = "source"
		}
		r.Mounts = append(r.Mounts, mount{kind, cli.Short(mt.HostPath, 300), cli.Short(mt.ContainerPath, 200), cut(mt.Digest, l.digest)})
	}
	if d != nil {
		r.First = row.Meta != nil && row.StepID != "" && d.Since == ""
		r.Same = d.Since != "" && len(d.Why) == 0
	}
	if m.Artifacts != nil {
		r.Files = status.Count(m.Artifacts.Files, "file") + ", " + status.Bytes(m.Artifacts.Bytes)
	}
	return r
}

// cut returns the beginning of a digest.
func cut(digest string, max int) string { return cli.Short(digest[:min(len(digest), max)], max) }

// first returns so many of the words that a text of max characters can have: a command may have
// millions.
func first(words []string, max int) []string {
	var list []string
	for _, w := range words {
		if max <= 0 {
			break
		}
		if len(w) > 4*max {
			w = w[:4*max]
		}
		list, max = append(list, w), max-len(w)/4-1
	}
	return list
}

// measure sets what the run has used, and the limits.
func (r *entry) measure(row *status.Row, m *workspace.Meta) {
	limits := m.Limits
	if limits == nil {
		limits = new(step.PinnedLimits)
	}
	if row.DurationMs != nil {
		r.Elapsed = measured(milliseconds(*row.DurationMs), *row.DurationMs, float64(m.TimeoutMs), milliseconds(m.TimeoutMs))
	}
	if m.Usage == nil {
		return
	}
	if peak := m.Usage.PeakMemoryBytes; peak > 0 {
		r.Memory = measured(status.Bytes(peak), peak, float64(limits.MemoryBytes), status.Bytes(limits.MemoryBytes))
	}
	r.CPU = measured(milliseconds(m.Usage.CPUMs), m.Usage.CPUMs, limits.CPUs*float64(m.DurationMs), cpus(limits.CPUs))
}

func cpus(n float64) string {
	if n == 1 {
		return "1 CPU"
	}
	return strconv.FormatFloat(n, 'g', 3, 64) + " CPUs"
}

// reason says what else is to be known of how a run ended.
func reason(row *status.Row, max int) string {
	var notes []string
	if row.Reason != "" {
		notes = append(notes, row.Reason)
	}
	if row.Meta != nil && row.Meta.Changed() != "" {
		notes = append(notes, "inputs changed after it was prepared: "+row.Meta.Changed())
	}
	if row.SucceededSince {
		notes = append(notes, "the step has succeeded since")
	}
	return cli.Short(strings.Join(notes, "; "), max)
}

// facts lists what the record says, as far as it is not the default.
func facts(row *status.Row, m *workspace.Meta, max int) (list []fact) {
	add := func(name, format string, args ...any) {
		list = append(list, fact{name, cli.Short(fmt.Sprintf(format, args...), max)})
	}
	if m.Image != "" {
		add("Image", "%s %s", m.Image, m.ImageDigest)
	}
	if m.Setup != nil {
		add("Setup", "%s", step.Quote(first(m.Setup.Cmd, max)))
	}
	if n := len(m.Execs); n > 1 {
		add("Executed", "%d times", n)
	}
	if m.User != "" {
		add("User", "%s", m.User)
	}
	if m.Cwd != "" && m.Cwd != "/" {
		add("Directory", "%s", m.Cwd)
	}
	if m.Network != "" && m.Network != step.NetworkNone {
		add("Network", "%s", m.Network)
	}
	for _, c := range m.CacheMounts {
		add("Cache", "%s at %s", c.Name, c.Path)
		if len(list) > 20 {
			break
		}
	}
	return list
}

// used says in words what the run has used.
func (r *entry) used() string {
	var parts []string
	for _, m := range []struct {
		measure
		what string
	}{{r.Elapsed, "elapsed"}, {r.Memory, "memory"}, {r.CPU, "CPU time"}} {
		if m.Text == "" {
			continue
		}
		part := m.Text + " " + m.what
		if m.Of != "" {
			part += fmt.Sprintf(" (%d%% of %s)", m.Share, m.Of)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

// Column is a cell of the table that holds a measure, with the class of its column.
func (r *entry) Column(class string, m measure) any {
	return struct {
		Class string
		M     measure
	}{class, m}
}
