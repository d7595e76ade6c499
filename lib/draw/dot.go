package draw

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"pipex/lib/provenance"
)

// dotColours are those of classes, of the X11 names that Graphviz has.
var dotColours = map[string]string{"ok": "darkgreen", "bad": "red3", "busy": "blue3", "idle": "gray40"}

// Dot writes nodes in the language of Graphviz (https://graphviz.org/doc/info/lang.html), inputs
// above those that read them.
func Dot(w io.Writer, nodes []*provenance.Node, o Options) error {
	out := bufio.NewWriter(w)
	out.WriteString("digraph pipex {\n\tnode [shape=box, fontname=\"sans-serif\", fontsize=10]\n")
	number := make(map[*provenance.Node]int, len(nodes))
	for i, n := range nodes {
		number[n] = i
		style := ""
		if len(n.Linked) == 0 && !n.Open() {
			style = ", style=dashed"
		}
		fmt.Fprintf(out, "\tr%d [label=%s, tooltip=%s, color=%s%s]\n", i, quoted(Name(n, 40), state(n, o.now())), quoted(Line(n, o)), dotColours[Class(n.Status)], style)
	}
	for i, n := range nodes {
		for _, in := range n.Inputs {
			if from, shown := number[in]; shown {
				fmt.Fprintf(out, "\tr%d -> r%d\n", from, i)
			}
		}
	}
	out.WriteString("}\n")
	return out.Flush()
}

// quoted writes lines as one string of the language. Its escapes have backslashes, so those of
// the text are doubled.
func quoted(lines ...string) string {
	for i := range lines {
		lines[i] = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(lines[i])
	}
	return `"` + strings.Join(lines, `\n`) + `"`
}
