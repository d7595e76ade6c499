package draw

import (
	"fmt"
	"io"
	"time"

	"pipex/lib/status"
	"pipex/lib/timeline"
)

// The sizes of a timeline, in CSS pixels.
const (
	chartWidth = 1000.0
	laneHeight = 22.0
	barHeight  = 18.0
	axisHeight = 30.0
	letter     = 7.0 // about the width of one
)

// Timeline draws a build: a row for each lane, and in it a bar for each run, from when it was
// prepared until it ended. Time goes from left to right. The critical path has another border,
// and lines join it.
func Timeline(w io.Writer, t *timeline.Timeline, o Options) error {
	height := axisHeight + float64(t.Lanes)*laneHeight + margin
	p := o.open(w, "timeline", chartWidth+2*margin, height, "Timeline", Summary(t))
	total := max(t.Total(), time.Millisecond)
	x := func(at time.Time) float64 { return margin + chartWidth*float64(at.Sub(t.Begin))/float64(total) }
	y := func(b *timeline.Bar) float64 { return axisHeight + float64(b.Lane)*laneHeight }
	for _, d := range ticks(total) {
		at := x(t.Begin.Add(d))
		fmt.Fprintf(p, `<line class="grid" x1="%s" y1="%s" x2="%[1]s" y2="%[3]s"/>`, num(at), num(axisHeight-6), num(height-margin))
		anchor := "middle"
		if d == 0 {
			anchor = "start"
		} else if at > margin+chartWidth-20 {
			anchor = "end"
		}
		fmt.Fprintf(p, "<text class=\"weak\" text-anchor=\"%s\" x=\"%s\" y=\"16\">%s</text>\n", anchor, num(at), axis(d))
	}
	for i, h := range t.Hosts {
		top := axisHeight + float64(h.Lane)*laneHeight - 2
		if i > 0 {
			fmt.Fprintf(p, `<line class="grid" x1="%s" y1="%s" x2="%s" y2="%[2]s"/>`, num(margin), num(top), num(margin+chartWidth))
		}
		fmt.Fprintf(p, "<text class=\"weak\" text-anchor=\"end\" x=\"%s\" y=\"%s\">%s</text>\n", num(margin+chartWidth), num(top+15), esc(Clean(h.Name, 30)))
	}
	for _, b := range t.Bars {
		p.bar(b, x, y(b))
	}
	for i := 1; i < len(t.Critical); i++ {
		a, b := t.Critical[i-1], t.Critical[i]
		if x(b.Prepared)-x(a.Finished) > 2 || a.Lane != b.Lane {
			fmt.Fprintf(p, "<path class=\"path\" d=\"M%s %sL%s %s\"/>\n", num(x(a.Finished)), num(y(a)+barHeight/2), num(x(b.Prepared)), num(y(b)+barHeight/2))
		}
	}
	return p.close()
}

// bar draws a run: what is before its command in other shades, and its name if that fits.
func (p *picture) bar(b *timeline.Bar, x func(time.Time) float64, y float64) {
	class := Class(b.Node.Status)
	if b.Critical {
		class += " critical"
	}
	p.begin(b.Node, class, BarLine(b))
	rect := func(class string, from, to time.Time) {
		fmt.Fprintf(p, `<rect%s x="%s" y="%s" width="%s" height="%s"/>`, class, num(x(from)), num(y), num(max(x(to)-x(from), 1)), num(barHeight))
	}
	if b.Started.After(b.Prepared) {
		rect(` class="prepare"`, b.Prepared, b.Started)
	}
	if b.SetUp.After(b.Started) {
		rect(` class="setup"`, b.Started, b.SetUp)
	}
	rect("", b.SetUp, b.Finished)
	if fits := int((x(b.Finished) - x(b.SetUp) - 6) / letter); fits >= 3 {
		fmt.Fprintf(p, `<text x="%s" y="%s">%s</text>`, num(x(b.SetUp)+4), num(y+13), esc(Name(b.Node, fits)))
	}
	p.end(b.Node)
}

// BarLine says in words what a bar is.
func BarLine(b *timeline.Bar) string {
	text := fmt.Sprintf("%s: %s, %s", Name(b.Node, 128), Clean(string(b.Node.Status), 20), status.Duration(b.Finished.Sub(b.Started)))
	if before := b.Started.Sub(b.Prepared); before > 0 {
		text += ", prepared " + status.Duration(before) + " before"
	}
	if setup := b.SetUp.Sub(b.Started); setup > 0 {
		text += ", " + status.Duration(setup) + " of it setup"
	}
	if b.Host != "" {
		text += ", on " + Clean(b.Host, 64)
	}
	if b.After != nil {
		text += ", began " + status.Duration(b.Waited) + " after " + Name(b.After.Node, 128)
	}
	if b.Critical {
		text += "; on the critical path"
	}
	return text
}

// Summary says in words where the time of a build went.
func Summary(t *timeline.Timeline) string {
	return fmt.Sprintf("%s in %s, at most %d at once, %.1f on average; %s in steps, %s before them, %s idle; the critical path has %s",
		status.Count(len(t.Bars), "run"), status.Duration(t.Total()), t.AtOnce, t.Parallelism(), status.Duration(t.Steps), status.Duration(t.Prepare), status.Duration(t.Idle), status.Count(len(t.Critical), "run"))
}

// rounds are the distances between marks, for builds of any length.
var rounds = func() (list []time.Duration) {
	for d := time.Millisecond; d < time.Second; d *= 10 {
		list = append(list, d, 2*d, 5*d)
	}
	for _, s := range []int{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200} {
		list = append(list, time.Duration(s)*time.Second)
	}
	for d := 24 * time.Hour; d < 100_000*time.Hour; d *= 2 {
		list = append(list, d)
	}
	return list
}()

// ticks returns the times at which the axis has a mark: round ones, at most eleven.
func ticks(total time.Duration) (list []time.Duration) {
	step := total
	for _, d := range rounds {
		if total/d <= 10 {
			step = d
			break
		}
	}
	for d := time.Duration(0); d <= total && len(list) <= 10; d += step {
		list = append(list, d)
	}
	return list
}

// axis writes a round time.
func axis(d time.Duration) string {
	if d < time.Minute {
		return d.String()
	}
	return status.Duration(d)
}
