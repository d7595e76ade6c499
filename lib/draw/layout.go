package draw

import (
	"cmp"
	"slices"
)

// point is a place in a layered layout: Layer from the first to the last, At along the layer.
type point struct {
	layer int
	at    float64
}

// layers is a layout in layers (Sugiyama, Tagawa, Toda 1981): each node is in a layer after
// those that it reads.
type layers struct {
	// vertices are the nodes, and after them the bends of edges that pass through layers.
	vertices []point
	nodes    int
	// lines are edges from a vertex to one of the next layer, or of any later one for
	// edges beyond maxBends. All edges of a node that pass a layer have one bend there.
	lines [][2]int
	count int // of layers
}

// maxBends bounds the work for graphs of which nobody could follow an edge anyway.
const maxBends = 50_000

// arrange lays out n nodes; inputs are those that each reads, which have smaller numbers. In a
// layer two nodes are at least 1+gap apart.
func arrange(inputs [][]int, gap float64) *layers {
	l := &layers{vertices: make([]point, len(inputs)), nodes: len(inputs)}
	l.assign(inputs)
	l.bend(inputs)
	l.place(l.sort(), gap)
	return l
}

// assign puts each node one layer after the last of its inputs, and nodes without inputs one
// before the first that reads them.
func (l *layers) assign(inputs [][]int) {
	first := make([]int, l.nodes)
	for v, in := range inputs {
		first[v] = -1
		for _, u := range in {
			l.vertices[v].layer = max(l.vertices[v].layer, l.vertices[u].layer+1)
		}
		l.count = max(l.count, l.vertices[v].layer+1)
	}
	for v, in := range inputs {
		for _, u := range in {
			if at := l.vertices[v].layer - 1; first[u] < 0 || at < first[u] {
				first[u] = at
			}
		}
	}
	for v, in := range inputs {
		if len(in) == 0 && first[v] > 0 {
			l.vertices[v].layer = first[v]
		}
	}
}

// bend makes the lines, with a bend in each layer that an edge passes.
func (l *layers) bend(inputs [][]int) {
	bends := make([][]int, l.nodes) // of the edges from a node, by layer
	for v, in := range inputs {
		for _, u := range in {
			from, need := u, l.vertices[v].layer-l.vertices[u].layer-1
			for k := 0; k < need && (k < len(bends[u]) || len(l.vertices) < l.nodes+maxBends); k++ {
				if k == len(bends[u]) {
					bends[u] = append(bends[u], len(l.vertices))
					l.lines = append(l.lines, [2]int{from, len(l.vertices)})
					l.vertices = append(l.vertices, point{layer: l.vertices[u].layer + 1 + k})
				}
				from = bends[u][k]
			}
			l.lines = append(l.lines, [2]int{from, v})
		}
	}
}

// neighbours returns the vertices before and after each one.
func (l *layers) neighbours() (before, after [][]int) {
	before, after = make([][]int, len(l.vertices)), make([][]int, len(l.vertices))
	for _, e := range l.lines {
		before[e[1]], after[e[0]] = append(before[e[1]], e[0]), append(after[e[0]], e[1])
	}
	return before, after
}

// sort returns the vertices of each layer in an order with few crossings: some sweeps put each
// one at the mean of its neighbours (barycentre).
func (l *layers) sort() [][]int {
	rows := make([][]int, l.count)
	for v, p := range l.vertices {
		l.vertices[v].at = float64(len(rows[p.layer]))
		rows[p.layer] = append(rows[p.layer], v)
	}
	before, after := l.neighbours()
	for sweep := range 8 {
		beside := before
		if sweep%2 == 1 {
			beside = after
		}
		for k := range rows {
			row := rows[k]
			if sweep%2 == 1 {
				row = rows[len(rows)-1-k]
			}
			want := make(map[int]float64, len(row))
			for _, v := range row {
				want[v] = l.mean(beside[v], l.vertices[v].at)
			}
			slices.SortStableFunc(row, func(a, b int) int { return cmp.Compare(want[a], want[b]) })
			for i, v := range row {
				l.vertices[v].at = float64(i)
			}
		}
	}
	return rows
}

// mean returns the mean place of vertices, or else if there are none.
func (l *layers) mean(vertices []int, otherwise float64) float64 {
	if len(vertices) == 0 {
		return otherwise
	}
	sum := 0.0
	for _, v := range vertices {
		sum += l.vertices[v].at
	}
	return sum / float64(len(vertices))
}

// place sets where vertices are, in the order of their layers and far enough from each other:
// each as near to the mean of its neighbours as that allows.
func (l *layers) place(rows [][]int, gap float64) {
	before, after := l.neighbours()
	size := func(v int) float64 {
		if v < l.nodes {
			return 1 + gap
		}
		return 0.2 + gap/2
	}
	for sweep := range 12 {
		for k := range rows {
			row := rows[k]
			if sweep%2 == 1 {
				row = rows[len(rows)-1-k]
			}
			want, shift := make([]float64, len(row)), make([]float64, len(row))
			for i, v := range row {
				if i > 0 {
					shift[i] = shift[i-1] + (size(row[i-1])+size(v))/2
				}
				want[i] = l.vertices[v].at
				switch {
				case sweep == 0:
					want[i] = shift[i]
				case sweep < 6 && sweep%2 == 1:
					want[i] = l.mean(after[v], l.mean(before[v], want[i]))
				case sweep < 6:
					want[i] = l.mean(before[v], l.mean(after[v], want[i]))
				default:
					want[i] = l.mean(slices.Concat(before[v], after[v]), want[i])
				}
				want[i] -= shift[i]
			}
			for i, at := range ascending(want) {
				l.vertices[row[i]].at = at + shift[i]
			}
		}
	}
	least := 0.0
	for i, p := range l.vertices {
		if i == 0 || p.at < least {
			least = p.at
		}
	}
	for i := range l.vertices {
		l.vertices[i].at -= least
	}
}

// ascending returns the numbers that do not descend and are nearest to values (isotonic
// regression by pooling adjacent violators).
func ascending(values []float64) []float64 {
	type pool struct {
		sum float64
		n   int
	}
	var pools []pool
	for _, v := range values {
		p := pool{v, 1}
		for len(pools) > 0 {
			last := pools[len(pools)-1]
			if last.sum*float64(p.n) <= p.sum*float64(last.n) {
				break
			}
			p = pool{p.sum + last.sum, p.n + last.n}
			pools = pools[:len(pools)-1]
		}
		pools = append(pools, p)
	}
	result := make([]float64, 0, len(values))
	for _, p := range pools {
		for range p.n {
			result = append(result, p.sum/float64(p.n))
		}
	}
	return result
}
