package report

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// The plot's measures, in pixels.
const (
	width  = 980
	left   = 400 // where the bars' area begins
	right  = 780 // where it ends
	line   = 22
	margin = 16
)

// Plot is the entries that have a target as an SVG: ratios on a logarithmic axis, and below
// them differences in milliseconds. A bar begins where both are the same.
func Plot(newest []Entry) string {
	var ratios, differences []Entry
	for _, e := range newest {
		switch {
		case math.IsNaN(e.Limit) || math.IsNaN(e.Value):
		case e.Form == Ratio || e.Unit == "×":
			ratios = append(ratios, e)
		case e.Form == More:
			differences = append(differences, e)
		}
	}
	s := &svg{y: margin}
	s.panel("Ratio to the peer: left of 1 is less than the peer", ratios, logarithmic(ratios))
	s.panel("Milliseconds more than the peer", differences, linear(differences))
	s.legend()
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="Helvetica, Arial, sans-serif" font-size="13">
<rect width="100%%" height="100%%" fill="#ffffff"/>
%s</svg>
`, width, s.y, width, s.y, s.String())
}

type svg struct {
	strings.Builder
	y int
}

// axis maps values to places between left and right.
type axis struct {
	at    func(float64) float64
	zero  float64
	ticks []float64
}

func logarithmic(entries []Entry) axis {
	low, high := 0.5, 2.0
	for _, e := range entries {
		low, high = min(low, max(e.Low, 0.001), max(e.Limit, 0.001)), max(high, e.High, e.Limit)
	}
	from, to := math.Log(low/1.2), math.Log(high*1.2)
	a := axis{zero: 1, at: func(v float64) float64 {
		return left + (right-left)*(math.Log(max(v, low/1.2))-from)/(to-from)
	}}
	for _, t := range []float64{0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50} {
		if t > low/1.2 && t < high*1.2 {
			a.ticks = append(a.ticks, t)
		}
	}
	return a
}

func linear(entries []Entry) axis {
	low, high := 0.0, 5.0
	for _, e := range entries {
		low, high = min(low, e.Low), max(high, e.High, e.Limit)
	}
	room := (high - low) / 20
	low, high = low-room, high+room
	a := axis{at: func(v float64) float64 { return left + (right-left)*(v-low)/(high-low) }}
	step := 1.0
	for (high-low)/step > 10 {
		step *= 5
		if (high-low)/step > 10 {
			step *= 2
		}
	}
	for t := math.Ceil(low/step) * step; t <= high; t += step {
		a.ticks = append(a.ticks, t)
	}
	return a
}

const (
	good = "#2f7d4f"
	bad  = "#c8641e"
	ink  = "#222222"
	pale = "#dddddd"
)

func (s *svg) panel(title string, entries []Entry, a axis) {
	if len(entries) == 0 {
		return
	}
	s.text(margin, s.y+14, "start", `font-size="15" font-weight="bold"`, title)
	s.y += 34
	top, bottom := s.y, s.y+line*len(entries)
	for _, t := range a.ticks {
		x := a.at(t)
		fmt.Fprintf(s, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s"/>`+"\n", x, top, x, bottom, pale)
		s.text(int(x), bottom+16, "middle", `fill="#555555" font-size="12"`, fmt.Sprintf("%g", t))
	}
	for _, e := range entries {
		s.bar(e, a)
	}
	fmt.Fprintf(s, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s"/>`+"\n", a.at(a.zero), top, a.at(a.zero), bottom, ink)
	s.y = bottom + 40
}

// bar is the line of an entry: its name, bar, quartiles, target and numbers.
func (s *svg) bar(e Entry, a axis) {
	label := e.Row
	if e.Peer != "" {
		label += " / " + e.Peer
	}
	if e.Metric != Time {
		label += ", " + e.Metric
	}
	color := bad
	if e.Reached() == "yes" {
		color = good
	}
	from, to := a.at(a.zero), a.at(e.Value)
	s.text(left-8, s.y+15, "end", fmt.Sprintf(`fill="%s"`, ink), label)
	fmt.Fprintf(s, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", min(from, to), s.y+4, max(math.Abs(to-from), 1), line-8, color)
	middle := s.y + line/2
	fmt.Fprintf(s, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#888888" stroke-width="2"/>`+"\n", a.at(e.Low), middle, a.at(e.High), middle)
	fmt.Fprintf(s, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s" stroke-width="3"/>`+"\n", a.at(e.Limit), s.y+1, a.at(e.Limit), s.y+line-1, ink)
	s.text(right+12, s.y+15, "start", fmt.Sprintf(`fill="%s"`, color), e.figure(e.Value))
	s.text(right+100, s.y+15, "start", `fill="#555555"`, "≤ "+e.target())
	s.y += line
}

func (s *svg) legend() {
	x := margin
	for _, l := range []struct{ color, text string }{{good, "target reached"}, {bad, "target not reached"}} {
		fmt.Fprintf(s, `<rect x="%d" y="%d" width="14" height="14" fill="%s"/>`+"\n", x, s.y, l.color)
		s.text(x+20, s.y+12, "start", fmt.Sprintf(`fill="%s"`, ink), l.text)
		x += 160
	}
	fmt.Fprintf(s, `<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="%s" stroke-width="3"/>`+"\n", x+6, s.y-2, x+6, s.y+16, ink)
	s.text(x+16, s.y+12, "start", fmt.Sprintf(`fill="%s"`, ink), "target")
	s.y += 30
}

func (s *svg) text(x, y int, anchor, style, text string) {
	fmt.Fprintf(s, `<text x="%d" y="%d" text-anchor="%s" %s>%s</text>`+"\n", x, y, anchor, style, html.EscapeString(text))
}
