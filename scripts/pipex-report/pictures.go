package main

import (
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"pipex/lib/draw"
	"pipex/lib/provenance"
	"pipex/lib/timeline"
)

// A picture of more runs, or of more bytes, shows nothing that can be read. It is left out.
const (
	maxDrawn   = 2000
	maxPicture = 512 << 10
)

// draw draws the graph of the runs, and the timeline of the last build among them. numbers are
// those of the runs that have details, to which the pictures lead.
func (p *page) draw(nodes []*provenance.Node, numbers map[string]int, now time.Time) {
	o := draw.Options{Embedded: true, Now: now, Link: func(n *provenance.Node) string {
		if i, has := numbers[n.ID]; has {
			return fmt.Sprintf("#r%d", i)
		}
		return ""
	}}
	t := timeline.New(provenance.LastBuild(nodes, now), now)
	p.Timeline = picture(len(t.Bars), func(w io.Writer) error { return draw.Timeline(w, t, o) })
	p.Spent = draw.Summary(t)
	p.Graph = picture(len(nodes), func(w io.Writer) error { return draw.Graph(w, nodes, o) })
	p.Undrawn = len(nodes) > 0 && (p.Graph == "" || len(t.Bars) > 0 && p.Timeline == "")
}

// picture returns the picture of n runs; "" if there is nothing to draw, or too much.
func picture(n int, draw func(io.Writer) error) template.HTML {
	var svg strings.Builder
	if n == 0 || n > maxDrawn || draw(&svg) != nil || svg.Len() > maxPicture {
		return "" // a builder takes all that is written
	}
	return template.HTML(svg.String()) // what comes from a run is escaped in it
}
