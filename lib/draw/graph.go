package draw

import (
	"fmt"
	"io"
	"math"
	"strings"

	"pipex/lib/provenance"
	"pipex/lib/status"
)

// The size of a box, and how far boxes are from each other, in CSS pixels: beside each other,
// and from one layer to the next.
const (
	boxWidth, boxHeight = 160.0, 36.0
	margin              = 12.0
	maxName             = 22 // characters that fit in a box
)

// Graph draws nodes, each in a box, with a line to each box that reads it. The runs are in
// layers from left to right or, if that is narrower, from top to bottom. nodes are in the order
// of package provenance.
func Graph(w io.Writer, nodes []*provenance.Node, o Options) error {
	g := newGraph(nodes)
	p := o.open(w, "graph", g.width, g.height, "Provenance", g.desc())
	g.edges(p)
	for _, n := range nodes {
		p.box(n, g.at[n])
	}
	return p.close()
}

// xy is the upper left corner of a box.
type xy struct{ x, y float64 }

type graph struct {
	nodes         []*provenance.Node
	at            map[*provenance.Node]xy
	joined        []*provenance.Node // those that have edges
	layout        *layers
	down          bool // from top to bottom
	width, height float64
}

func newGraph(nodes []*provenance.Node) *graph {
	g := &graph{nodes: nodes, at: make(map[*provenance.Node]xy, len(nodes)), width: 2*margin + boxWidth, height: 2 * margin}
	shown, read := map[*provenance.Node]bool{}, map[*provenance.Node]bool{}
	for _, n := range nodes {
		shown[n] = true
	}
	edges := map[*provenance.Node][]*provenance.Node{}
	for _, n := range nodes {
		for _, in := range n.Inputs {
			if shown[in] {
				edges[n] = append(edges[n], in)
				read[in] = true
			}
		}
	}
	number := map[*provenance.Node]int{}
	var inputs [][]int
	var alone []*provenance.Node
	for _, n := range nodes {
		if !read[n] && len(edges[n]) == 0 {
			alone = append(alone, n)
			continue
		}
		var list []int
		for _, in := range edges[n] {
			list = append(list, number[in])
		}
		number[n] = len(g.joined)
		g.joined, inputs = append(g.joined, n), append(inputs, list)
	}
	g.turn(inputs)
	for i, n := range g.joined {
		c := g.corner(i)
		g.at[n] = c
		g.width, g.height = max(g.width, c.x+boxWidth+margin), max(g.height, c.y+boxHeight+margin)
	}
	g.grid(alone)
	return g
}

// turn lays out the joined nodes in the direction that is narrower: pages scroll down.
func (g *graph) turn(inputs [][]int) {
	g.layout = arrange(inputs, 0.25)
	across := float64(g.layout.count) * (boxWidth + 50)
	g.down = across > 600 && g.breadth()*(boxWidth+16) < across
	if g.down {
		g.layout = arrange(inputs, 0.1)
	}
}

func (g *graph) breadth() (b float64) {
	for _, v := range g.layout.vertices {
		b = max(b, v.at+1)
	}
	return b
}

// corner returns the corner of the box of a vertex.
func (g *graph) corner(v int) xy {
	at := g.layout.vertices[v]
	if g.down {
		return xy{margin + at.at*boxWidth, margin + float64(at.layer)*(boxHeight+44)}
	}
	return xy{margin + float64(at.layer)*(boxWidth+50), margin + at.at*boxHeight}
}

// grid puts nodes without edges below the others, in rows.
func (g *graph) grid(alone []*provenance.Node) {
	columns := max(int((g.width-margin)/(boxWidth+margin)), min(5, int(math.Ceil(math.Sqrt(float64(len(alone)))))))
	top := g.height
	if len(g.joined) == 0 {
		top = margin
	}
	for i, n := range alone {
		c := xy{margin + float64(i%columns)*(boxWidth+margin), top + float64(i/columns)*(boxHeight+margin)}
		g.at[n] = c
		g.width, g.height = max(g.width, c.x+boxWidth+margin), max(g.height, c.y+boxHeight+margin)
	}
}

// edges draws all edges of a node as one path. At a bend, a line goes straight through its layer.
func (g *graph) edges(p *picture) {
	paths := map[int]*strings.Builder{}
	source := make([]int, len(g.layout.vertices))
	for v := range source {
		source[v] = v
	}
	for _, e := range g.layout.lines {
		from, to := g.corner(e[0]), g.corner(e[1])
		source[e[1]] = source[e[0]] // of a bend; the lines to it come first
		b := paths[source[e[0]]]
		if b == nil {
			b = new(strings.Builder)
			paths[source[e[0]]] = b
		}
		if e[1] < g.layout.nodes {
			source[e[1]] = e[1]
		}
		if g.down {
			x1, y1, x2, y2 := from.x+boxWidth/2, from.y+boxHeight, to.x+boxWidth/2, to.y
			fmt.Fprintf(b, "M%s %sC%[1]s %[3]s %[4]s %[3]s %[4]s %[5]s", num(x1), num(y1), num((y1+y2)/2), num(x2), num(y2))
			if e[1] >= g.layout.nodes {
				fmt.Fprintf(b, "V%s", num(y2+boxHeight))
			}
			continue
		}
		x1, y1, x2, y2 := from.x+boxWidth, from.y+boxHeight/2, to.x, to.y+boxHeight/2
		fmt.Fprintf(b, "M%s %sC%[3]s %[2]s %[3]s %[4]s %[5]s %[4]s", num(x1), num(y1), num((x1+x2)/2), num(y2), num(x2))
		if e[1] >= g.layout.nodes {
			fmt.Fprintf(b, "H%s", num(x2+boxWidth))
		}
	}
	for v := range g.joined {
		if b := paths[v]; b != nil {
			fmt.Fprintf(p, "<path class=\"edge\" d=\"%s\"/>\n", b)
		}
	}
}

// box draws a node. What is neither linked nor open has a dashed border.
func (p *picture) box(n *provenance.Node, at xy) {
	class := Class(n.Status)
	if len(n.Linked) == 0 && !n.Open() {
		class += " old"
	}
	if len(n.Stale) > 0 {
		class += " stale"
	}
	p.begin(n, class, Line(n, p.o))
	fmt.Fprintf(p, `<rect x="%s" y="%s" width="%s" height="%s" rx="5"/>`, num(at.x), num(at.y), num(boxWidth), num(boxHeight))
	fmt.Fprintf(p, `<text x="%s" y="%s">%s</text>`, num(at.x+8), num(at.y+15), esc(Name(n, maxName)))
	note := Marks[Class(n.Status)] + " " + state(n, p.now)
	if len(n.Stale) > 0 {
		note += ", stale"
	}
	fmt.Fprintf(p, `<text class="weak note" x="%s" y="%s">%s</text>`, num(at.x+8), num(at.y+29), esc(note))
	p.end(n)
}

// Line says in words what a node is.
func Line(n *provenance.Node, o Options) string {
	text := Name(n, 128) + ": " + Clean(string(n.Status), 20)
	if n.Meta != nil && n.Meta.StepName != "" && n.Meta.StepName != n.Step {
		text = Name(n, 128) + " (" + Clean(n.Meta.StepName, 128) + "): " + Clean(string(n.Status), 20)
	}
	if took := Took(n, o.now()); took != "" {
		text += ", " + took
	}
	text += ", run " + Clean(n.ID, 128)
	if len(n.Inputs) > 0 {
		text += ", reads " + Names(n.Inputs, 10)
	}
	if len(n.Stale) > 0 {
		text += "; stale, since these have changed: " + Clean(strings.Join(n.Stale[:min(len(n.Stale), 10)], ", "), 300)
	}
	return text
}

// Names lists the names of at most max nodes.
func Names(nodes []*provenance.Node, max int) string {
	var list []string
	for _, n := range nodes[:min(len(nodes), max)] {
		list = append(list, Name(n, 40))
	}
	if more := len(nodes) - len(list); more > 0 {
		list = append(list, fmt.Sprintf("%d more", more))
	}
	return strings.Join(list, ", ")
}

func (g *graph) desc() string {
	failed, stale, inputs := 0, 0, 0
	for _, n := range g.nodes {
		inputs += len(n.Inputs)
		if Class(n.Status) == "bad" {
			failed++
		}
		if len(n.Stale) > 0 {
			stale++
		}
	}
	text := status.Count(len(g.nodes), "run") + ", " + status.Count(inputs, "input")
	if failed > 0 {
		text += fmt.Sprintf(", %d not successful", failed)
	}
	if stale > 0 {
		text += fmt.Sprintf(", %d stale", stale)
	}
	return text
}
