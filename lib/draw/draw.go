// Package draw draws pictures of runs as SVG: the graph of what was made from what, and the
// timeline of a build.
//
// A picture needs no script, font or file. It is good on light and dark ground, has a title and
// a description for screen readers, and may be embedded in HTML. Whatever comes from a record
// is cut and escaped.
package draw

import (
	"bufio"
	_ "embed"
	"fmt"
	"html"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"

	"pipex/lib/provenance"
	"pipex/lib/status"
	"pipex/lib/workspace"
)

// Style is the style sheet of all pictures. All its rules are for elements of class
// pipex-picture and below.
//
//go:embed picture.css
var Style string

// Options say how a picture is drawn. The zero value is good for a file of its own.
type Options struct {
	// Title is the picture's title for screen readers; it has a default.
	Title string
	// Embedded leaves out what only a file of its own needs, and the style: the page has
	// [Style] in its own sheet.
	Embedded bool
	// Link returns where a run's picture leads to, "" for nowhere. It may be nil.
	Link func(*provenance.Node) string
	// Now is until when running runs last; now, if it is zero.
	Now time.Time
}

func (o *Options) now() time.Time {
	if o.Now.IsZero() {
		return time.Now()
	}
	return o.Now
}

// Class returns the class of a status in pictures: ok, bad, busy or idle.
func Class(s workspace.Status) string {
	switch s {
	case workspace.Success:
		return "ok"
	case workspace.Running:
		return "busy"
	case workspace.Prepared:
		return "idle"
	}
	return "bad"
}

// Marks stand for classes where there is no colour.
var Marks = map[string]string{"ok": "✓", "bad": "✗", "busy": "▶", "idle": "○"}

// Name returns the name of a run for people, at most max characters that are all printable:
// its step, its title or its id.
func Name(n *provenance.Node, max int) string {
	text := n.Step
	if text == "" && n.Meta != nil {
		text = n.Meta.StepName
	}
	if text == "" {
		text = n.ID
	}
	return Clean(text, max)
}

// columns returns how many columns of a terminal a character takes (Unicode Standard Annex 11).
func columns(r rune) int {
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// Clean returns text with ? in place of what is not printable, cut to a width of max columns.
func Clean(text string, max int) string {
	var b strings.Builder
	used := 0
	for i, r := range text {
		w := columns(r)
		if used+w > max || used+w == max && i+utf8.RuneLen(r) < len(text) {
			b.WriteRune('…')
			break
		}
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			r = '?'
		}
		b.WriteRune(r)
		used += w
	}
	return b.String()
}

// Took returns how long a run took, in words; "" if that is not known.
func Took(n *provenance.Node, now time.Time) string {
	if n.Meta == nil || n.Meta.StartedAt == nil || n.Ended(now).IsZero() {
		return ""
	}
	return status.Duration(max(n.Ended(now).Sub(n.Meta.StartedAt.Time), 0))
}

// state returns the status of a run and how long it took, in words.
func state(n *provenance.Node, now time.Time) string {
	text := Clean(string(n.Status), 12)
	if took := Took(n, now); took != "" {
		text += " " + took
	}
	return text
}

// picture is an SVG that is being written.
type picture struct {
	*bufio.Writer
	o      Options
	now    time.Time
	prefix string
}

// open begins a picture. name tells its ids from those of others on a page.
func (o Options) open(w io.Writer, name string, width, height float64, title, desc string) *picture {
	p := &picture{bufio.NewWriter(w), o, o.now(), "pipex-" + name}
	if o.Title != "" {
		title = o.Title
	}
	role := "img"
	if o.Link != nil {
		role = "group"
	}
	space := ` xmlns="http://www.w3.org/2000/svg"` // HTML knows the element
	if o.Embedded {
		space = ""
	}
	fmt.Fprintf(p, `<svg%s class="pipex-picture" role="%s" aria-labelledby="%[3]s-title %[3]s-desc" width="%[4]s" height="%[5]s" viewBox="0 0 %[4]s %[5]s">`,
		space, role, p.prefix, num(width), num(height))
	fmt.Fprintf(p, "\n<title id=\"%s-title\">%s</title>\n<desc id=\"%[1]s-desc\">%s</desc>\n", p.prefix, esc(Clean(title, 300)), esc(desc))
	if !o.Embedded {
		fmt.Fprintf(p, "<style>%s</style>\n<rect class=\"back\" width=\"100%%\" height=\"100%%\"/>\n", Style)
	}
	return p
}

func (p *picture) close() error {
	p.WriteString("</svg>\n")
	return p.Flush()
}

// begin opens a group that may be a link.
func (p *picture) begin(n *provenance.Node, class, title string) {
	if to := p.link(n); to != "" {
		fmt.Fprintf(p, `<a href="%s">`, esc(Clean(to, 1000)))
	}
	fmt.Fprintf(p, "<g class=\"%s\"><title>%s</title>", class, esc(title))
}

func (p *picture) end(n *provenance.Node) {
	p.WriteString("</g>")
	if p.link(n) != "" {
		p.WriteString("</a>")
	}
	p.WriteString("\n")
}

func (p *picture) link(n *provenance.Node) string {
	if p.o.Link == nil {
		return ""
	}
	return p.o.Link(n)
}

func esc(text string) string { return html.EscapeString(text) }

// num writes a number with one decimal at most.
func num(f float64) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0")
}
