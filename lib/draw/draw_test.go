package draw

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pipex/lib/provenance"
	"pipex/lib/status"
	"pipex/lib/timeline"
	"pipex/lib/workspace"
)

func run(id string, from, to int64, inputs ...*provenance.Node) *provenance.Node {
	m := &workspace.Meta{RunID: id, Status: workspace.Success, PreparedAt: workspace.Time{Time: time.Unix(from, 0)}}
	m.StartedAt, m.FinishedAt = &workspace.Time{Time: time.Unix(from, 1e8)}, &workspace.Time{Time: time.Unix(to, 0)}
	return &provenance.Node{ID: id, Step: id, Status: m.Status, Meta: m, Committed: true, Linked: []string{id}, Inputs: inputs}
}

// both draws nodes as both pictures.
func both(t *testing.T, nodes []*provenance.Node, o Options) string {
	t.Helper()
	var b strings.Builder
	err := Graph(&b, nodes, o)
	if err == nil {
		err = Timeline(&b, timeline.New(nodes, time.Unix(0, 0)), o)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// elements returns the names of the elements of XML, each once, and fails if it is none.
func elements(t *testing.T, text string) (names []string) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		token, err := d.Token()
		if err == io.EOF {
			slices.Sort(names)
			return slices.Compact(names)
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, is := token.(xml.StartElement); is {
			names = append(names, e.Name.Local)
		}
	}
}

// No name gets out of its place in a picture, however long or strange it is.
func TestHostile(t *testing.T) {
	evil := []string{`</text><script>alert(1)</script>`, "\x1b[2J\x00\xff\u202e\ufffe", `" onload="x`, "]]>&amp;<!--", strings.Repeat("長", 10_000)}
	var nodes []*provenance.Node
	for i, name := range evil {
		n := run(name, int64(i), int64(i)+1000, nodes...)
		n.Meta.StepName, n.Status, n.Stale = "!"+name, workspace.Status(name), evil
		nodes = append(nodes, n, &provenance.Node{ID: name, Missing: true, Status: status.Missing})
	}
	out := both(t, nodes, Options{Title: evil[0], Link: func(n *provenance.Node) string { return "#" + n.Step }})
	if got := fmt.Sprint(elements(t, out)); got != "[a desc g line path rect style svg text title]" {
		t.Error(got)
	}
	var text strings.Builder
	Text{}.Tree(&text, nodes)
	Text{Columns: 80}.Timeline(&text, timeline.New(nodes, time.Unix(0, 0)))
	Dot(&text, nodes, Options{})
	for _, out := range []string{out, text.String()} {
		if strings.ContainsAny(out, "\x1b\x00\u202e") || len(out) > 60_000 {
			t.Errorf("%d bytes: %.3000q", len(out), out)
		}
	}
}

// A page that embeds pictures has the style once, and their ids differ.
func TestEmbedded(t *testing.T) {
	out := both(t, []*provenance.Node{run("a", 0, 9)}, Options{Embedded: true})
	if strings.Contains(out, "<style") || strings.Contains(out, "style=") || strings.Count(out, `id="pipex-graph-title"`) != 1 || strings.Count(out, `id="pipex-timeline-title"`) != 1 {
		t.Error(out)
	}
	for _, rule := range strings.Split(strings.TrimSpace(Style), "\n") {
		if !strings.HasPrefix(rule, ".pipex-picture") && !strings.HasPrefix(rule, "@media") {
			t.Errorf("not for pictures alone: %s", rule)
		}
	}
	both(t, nil, Options{})
}

// In a layout no two vertices of a layer overlap, and each is in a layer after its inputs.
func TestLayout(t *testing.T) {
	var inputs [][]int
	for v := range 1000 {
		var in []int
		for _, u := range []int{v - 1 - v%7, v / 3, v - 20} {
			if u >= 0 && u < v && !slices.Contains(in, u) {
				in = append(in, u)
			}
		}
		inputs = append(inputs, in)
	}
	const gap = 0.25
	l := arrange(inputs, gap)
	rows := make([][]float64, l.count)
	for v, p := range l.vertices {
		if v < l.nodes {
			rows[p.layer] = append(rows[p.layer], p.at)
			for _, u := range inputs[v] {
				if l.vertices[u].layer >= p.layer {
					t.Errorf("%d is not after %d", v, u)
				}
			}
		}
	}
	for k, row := range rows {
		slices.Sort(row)
		for i := 1; i < len(row); i++ {
			if row[i]-row[i-1] < 1+gap-1e-6 || math.IsNaN(row[i]) {
				t.Errorf("layer %d: %f, %f", k, row[i-1], row[i])
			}
		}
	}
	if got := fmt.Sprint(ascending([]float64{1, 3, 2, 2, 0, 9})); got != "[1 1.75 1.75 1.75 1.75 9]" {
		t.Error(got)
	}
}

// The axis of a build has a few marks, however long the build is.
func TestTicks(t *testing.T) {
	for total := time.Millisecond; total < 10_000*time.Hour; total = total * 3 / 2 {
		if n := len(ticks(total)); n < 2 || n > 11 {
			t.Errorf("%v has %d marks", total, n)
		}
	}
}

// The runs of a small build with a stale input, a failure, and one that is read twice.
func build() []*provenance.Node {
	src := run("src", 0, 10)
	src.Linked = nil
	lint := run("lint", 10, 20, src)
	lint.Stale = []string{"src"}
	test := run("test", 10, 30, src)
	all := run("all", 30, 40, lint, test)
	all.Status = workspace.Failure
	return []*provenance.Node{src, lint, test, all}
}

// A tree shows below each run what it was made from, once; and whole chains, of any length.
func TestTree(t *testing.T) {
	var b strings.Builder
	if err := (Text{}).Tree(&b, build()); err != nil {
		t.Fatal(err)
	}
	const want = `✗ all  failure 9.9s  all
├─ ✓ lint  success 9.9s  lint  stale: src
│  └─ ✓ src  success 9.9s  src  not linked
└─ ✓ test  success 19s  test
   └─ ✓ src  success 9.9s  src  not linked
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
	var chain []*provenance.Node
	for i := range 10_000 {
		chain = append(chain, run(fmt.Sprint("s", i), 0, 1, chain[max(i-1, 0):]...))
	}
	b.Reset()
	err := Text{}.Tree(&b, chain)
	if n := strings.Count(b.String(), "\n"); err != nil || n != 10_000 || b.Len() > 3_000_000 {
		t.Errorf("%d lines, %d bytes, %v", n, b.Len(), err)
	}
	var fan []*provenance.Node
	for i := range 100 { // each reads all before it
		fan = append(fan, run(fmt.Sprint("s", i), 0, 1, fan...))
	}
	b.Reset()
	if err := (Text{}).Tree(&b, fan); err != nil || strings.Count(b.String(), "\n") != 100*99/2+1 {
		t.Errorf("%d lines, %v", strings.Count(b.String(), "\n"), err)
	}
}

// A timeline in characters has its bars at their times, and is as wide as it is said to be.
func TestTextTimeline(t *testing.T) {
	var b strings.Builder
	line := timeline.New(build(), time.Time{})
	if err := (Text{Columns: 40}).Timeline(&b, line); err != nil {
		t.Fatal(err)
	}
	const want = `        0s    10s   20s   30s
✓ src   ██████                    9.9s *
✓ lint        ██████              9.9s
✓ test        ████████████         19s *
✗ all                     ██████  9.9s *
`
	if got := b.String(); !strings.HasPrefix(got, want) || !strings.Contains(got, "\n* critical path: src 10s, test 20s, all 10s\n") {
		t.Errorf("got\n%s", got)
	}
	b.Reset()
	if err := (Text{Columns: 1}).Timeline(&b, timeline.New(nil, time.Time{})); err != nil {
		t.Error(err)
	}
}

// Runs may be far from each other, and records of others may have any time.
func TestAnyTime(t *testing.T) {
	for _, years := range []int64{10, 1000, 9000} {
		nodes := []*provenance.Node{run("a", 0, 1), run("b", years*365*24*3600, years*365*24*3600+1), run("c", -years*6*365*24*3600, 0)}
		var b strings.Builder
		if err := (Text{Columns: 300}).Timeline(&b, timeline.New(nodes, time.Time{})); err != nil || strings.Count(b.String(), "█") < len(nodes) {
			t.Errorf("%v\n%s", err, b.String())
		}
	}
}

// In the language of Graphviz no name gets out of its string.
func TestDot(t *testing.T) {
	nodes := build()
	nodes[0].Step = `a"b\n\" -> x [c]; ` + "\x1b"
	var b strings.Builder
	if err := Dot(&b, nodes, Options{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`r0 [label="a\"b\\n\\\" -> x [c]; ?\nsuccess 9.9s"`, "\tr0 -> r1\n", "\tr2 -> r3\n", `color=red3]`,
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s in\n%s", want, b.String())
		}
	}
}
