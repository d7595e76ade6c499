package draw

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"pipex/lib/provenance"
	"pipex/lib/status"
	"pipex/lib/timeline"
	"pipex/lib/workspace"
)

// Text says how pictures in characters are drawn, each as lines of UTF-8 in which nothing is
// left that a terminal obeys.
type Text struct {
	// Columns is the width of the timeline.
	Columns int
	// Colours are those of ECMA-48 (SGR).
	Colours bool
	// Now is until when running runs last.
	Now time.Time
}

const weak = "2"

// colours of classes, as parameters of SGR.
var colours = map[string]string{"ok": "32", "bad": "31", "busy": "34", "idle": weak}

func (t Text) colour(sgr, text string) string {
	if !t.Colours || text == "" {
		return text
	}
	return "\x1b[" + sgr + "m" + text + "\x1b[m"
}

// Status returns text in the colour of a status.
func (t Text) Status(s workspace.Status, text string) string {
	return t.colour(colours[Class(s)], text)
}

// Weak returns text that stands back.
func (t Text) Weak(text string) string { return t.colour(weak, text) }

func (t Text) mark(s workspace.Status) string { return t.Status(s, Marks[Class(s)]) }

// maxDepth is how many levels are indented.
const maxDepth = 40

// Tree writes a tree for each of nodes that no other one reads: the run, and below it, further
// to the right, the runs that it reads. The inputs of a run are written once; where it comes
// again there is an arrow that points up. nodes are in the order of package provenance.
func (t Text) Tree(w io.Writer, nodes []*provenance.Node) error {
	tree := tree{Text: t, Writer: bufio.NewWriter(w), written: map[*provenance.Node]bool{}}
	read := map[*provenance.Node]bool{}
	for _, n := range nodes {
		for _, in := range n.Inputs {
			read[in] = true
		}
	}
	for _, n := range nodes {
		if !read[n] {
			tree.write(n, "", "", 0)
		}
	}
	return tree.Flush()
}

type tree struct {
	Text
	*bufio.Writer
	written map[*provenance.Node]bool
}

// write writes n and what is below it: first stands before n, rest before the lines below.
func (t *tree) write(n *provenance.Node, first, rest string, depth int) {
	fmt.Fprintf(t, "%s%s %s", t.colour(weak, first), t.mark(n.Status), Name(n, 128))
	if t.written[n] && len(n.Inputs) > 0 {
		fmt.Fprintf(t, "  %s\n", t.colour(weak, "↑"))
		return
	}
	t.written[n] = true
	fmt.Fprintf(t, "  %s  %s", state(n, t.Now), t.colour(weak, Clean(n.ID, 128)))
	if len(n.Stale) > 0 {
		fmt.Fprintf(t, "  %s", t.colour("33", "stale: "+Clean(strings.Join(n.Stale, " "), 300)))
	} else if len(n.Linked) == 0 && n.Committed {
		fmt.Fprintf(t, "  %s", t.colour(weak, "not linked"))
	}
	t.WriteString("\n")
	for i, in := range n.Inputs {
		branch, below := "├─ ", "│  "
		if i == len(n.Inputs)-1 {
			branch, below = "└─ ", "   "
		}
		if depth >= maxDepth {
			below = ""
		}
		t.write(in, rest+branch, rest+below, depth+1)
	}
}

// Timeline writes a build: a line for each run, with a bar from when it was prepared until it
// ended, ░ for prepare, ▒ for setup and █ for the command, and * for the critical path. Two
// lines more say where the time went.
func (t Text) Timeline(w io.Writer, line *timeline.Timeline) error {
	out := bufio.NewWriter(w)
	name, took := 4, 4
	for _, b := range line.Bars {
		name = max(name, Width(Name(b.Node, 24)))
		took = max(took, len(status.Duration(b.Finished.Sub(b.Started))))
	}
	total := max(line.Total(), time.Millisecond)
	chart := max(t.Columns-name-took-len("x  x   *"), 10)
	at := func(when time.Time) int { return column(when.Sub(line.Begin), total, chart) }
	if len(line.Bars) > 0 {
		fmt.Fprintf(out, "%*s  %s\n", name+2, "", t.colour(weak, scale(total, chart)))
	}
	for _, b := range line.Bars {
		begin := min(at(b.Prepared), chart-1)
		started := max(at(b.Started), begin)
		setUp := max(at(b.SetUp), started)
		end := max(at(b.Finished), begin+1)
		if setUp == end { // what is there is seen
			setUp = end - 1
			started = min(started, setUp)
		}
		class := Class(b.Node.Status)
		bar := t.colour(weak, strings.Repeat("░", started-begin)) + t.colour(colours[class], strings.Repeat("▒", setUp-started)+strings.Repeat("█", end-setUp))
		critical := ""
		if b.Critical {
			critical = " " + t.colour("35", "*")
		}
		label := Name(b.Node, 24)
		fmt.Fprintf(out, "%s %s%s  %s%s%s  %*s%s\n", t.mark(b.Node.Status), label, strings.Repeat(" ", name-Width(label)),
			strings.Repeat(" ", begin), bar, strings.Repeat(" ", chart-end), took, status.Duration(b.Finished.Sub(b.Started)), critical)
	}
	fmt.Fprintln(out, Summary(line))
	if len(line.Critical) > 0 {
		fmt.Fprintln(out, t.colour("35", "*")+" "+path(line.Critical))
	}
	return out.Flush()
}

// Width returns how many columns of a terminal text takes.
func Width(text string) (n int) {
	for _, r := range text {
		n += columns(r)
	}
	return n
}

// column returns where a time is in a chart: 0 to chart. A record may have any time, so the
// product of the two does not always fit in an integer.
func column(d, total time.Duration, chart int) int {
	return min(max(int(float64(chart)*float64(d)/float64(total)), 0), chart)
}

// scale writes round times at their places.
func scale(total time.Duration, chart int) string {
	marks := ticks(total)
	var b strings.Builder
	for i, d := range marks {
		at, text := column(d, total, chart), axis(d)
		if used := b.Len(); i == 0 || at >= used+2 && at+len(text) <= chart {
			b.WriteString(strings.Repeat(" ", at-used) + text)
		}
	}
	return b.String()
}

// path says in words what the critical path is.
func path(bars []*timeline.Bar) string {
	const most = 20
	var list []string
	for i, b := range bars {
		if i > 0 && b.Waited >= 100*time.Millisecond {
			list = append(list, "waited "+status.Duration(b.Waited))
		}
		list = append(list, Name(b.Node, 40)+" "+status.Duration(b.Finished.Sub(b.Prepared)))
	}
	if more := len(list) - most; more > 0 {
		list = append(append(list[:most/2:most/2], fmt.Sprintf("%d more", more)), list[len(list)-most/2:]...)
	}
	return "critical path: " + strings.Join(list, ", ")
}
