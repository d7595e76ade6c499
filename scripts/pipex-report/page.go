package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"pipex/lib/draw"
	"pipex/lib/provenance"
	"pipex/lib/status"
	"pipex/lib/workspace"
)

// The page's parts. The browser runs and applies nothing else: the page's policy has their
// hashes.
//
//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

var layout = template.Must(template.New("page").Parse(pageHTML))

// page is all that the template shows. Whatever comes from a run is a string, which the template
// escapes; only what this program has made itself is HTML.
type page struct {
	Title, Workspace, Version string
	// Whole says that it shows the whole workspace, Titled that the title is the caller's.
	Whole, Titled bool
	Made          moment
	// Steps and Open count the linked runs and the open ones.
	Steps, Open int
	// Counts are how many runs have each status, Failed those to look at first.
	Counts     []count
	Failed     []*entry
	FailedMore int
	// First and Last are when the first run began and the last one ended.
	First, Last *moment
	Total, Size string
	Runs        []*entry
	// Undetailed are how many of them have no details.
	Undetailed int
	// Graph and Timeline are the pictures, Spent is the timeline in words. A picture is empty if
	// there are no runs for it, or too many: then Undrawn is set.
	Graph, Timeline template.HTML
	Spent           string
	Undrawn         bool
}

// count is how many runs have a status.
type count struct {
	Class, Status string
	N             int
}

// moment is a time for people and for programs.
type moment struct {
	Text, ISO string
	Ms        int64
}

func at(t *workspace.Time) *moment {
	if t == nil || t.IsZero() || t.Year() < 0 || t.Year() > 9999 {
		return nil
	}
	u := t.UTC()
	return &moment{Text: u.Format("2006-01-02 15:04:05"), ISO: u.Format(time.RFC3339), Ms: u.UnixMilli()}
}

// maxNamed is how many failed runs the summary names.
const maxNamed = 20

func newPage(ctx context.Context, ws *workspace.Workspace, rows []*status.Row, nodes []*provenance.Node) (*page, error) {
	history, err := ws.History()
	if err != nil {
		return nil, err
	}
	rd := &reader{ws: ws, history: history, limit: limits(len(rows))}
	details, err := rd.details(ctx, rows)
	if err != nil {
		return nil, err
	}
	now := workspace.Now()
	p := &page{Workspace: ws.ID, Made: *at(&now)}
	numbers := make(map[string]int, len(rows))
	for i, row := range rows {
		if row.RunID != "" && details[i] != nil {
			numbers[row.RunID] = i + 1
		}
	}
	stale := make(map[string][]string)
	for _, n := range nodes {
		if len(n.Stale) > 0 {
			stale[n.ID] = n.Stale
		}
	}
	counts := map[string]*count{}
	var ms, bytes int64
	var first, last time.Time
	for i, row := range rows {
		r := rd.view(i+1, row, details[i], numbers, stale[row.RunID])
		p.Runs = append(p.Runs, r)
		if r.details == nil {
			p.Undetailed++
		}
		if row.Open {
			p.Open++
		} else {
			p.Steps++
		}
		if counts[r.Status] == nil {
			counts[r.Status] = &count{Class: r.Class, Status: r.Status}
		}
		counts[r.Status].N++
		if r.Class == bad {
			if len(p.Failed) < maxNamed {
				p.Failed = append(p.Failed, r)
			} else {
				p.FailedMore++
			}
		}
		if row.DurationMs != nil {
			ms += *row.DurationMs
		}
		if row.ArtifactSize != nil {
			bytes += *row.ArtifactSize
		}
		if row.StartedAt != nil && (first.IsZero() || row.StartedAt.Before(first)) {
			first, p.First = row.StartedAt.Time, at(row.StartedAt)
		}
		if row.FinishedAt != nil && row.FinishedAt.After(last) {
			last, p.Last = row.FinishedAt.Time, at(row.FinishedAt)
		}
	}
	for _, c := range counts {
		p.Counts = append(p.Counts, *c)
	}
	slices.SortFunc(p.Counts, func(a, b count) int {
		return cmp.Or(cmp.Compare(slices.Index(classes, a.Class), slices.Index(classes, b.Class)), cmp.Compare(b.N, a.N), cmp.Compare(a.Status, b.Status))
	})
	p.draw(nodes, numbers, now.Time)
	p.Total, p.Size = status.Duration(time.Duration(ms)*time.Millisecond), status.Bytes(bytes)
	return p, nil
}

// element is an element whose content is not parsed as HTML, and the hash by which the policy
// allows it.
func element(name, content string) (html template.HTML, source string) {
	sum := sha256.Sum256([]byte(content))
	return template.HTML("<" + name + ">" + content + "</" + name + ">"), "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// style is the page's and the pictures'.
var style = pageCSS + draw.Style

// Style and Script are the page's own, Policy allows these and nothing else (Content Security
// Policy Level 3).
func (p *page) Style() template.HTML  { html, _ := element("style", style); return html }
func (p *page) Script() template.HTML { html, _ := element("script", pageJS); return html }
func (p *page) Policy() string {
	_, style := element("style", style)
	_, script := element("script", pageJS)
	return fmt.Sprintf("default-src 'none'; style-src %s; script-src %s; base-uri 'none'; form-action 'none'", style, script)
}

// write writes the page.
func (p *page) write(w io.Writer) error { return layout.Execute(w, p) }

// Are says what the page shows.
func (p *page) Are() string {
	var parts []string
	if p.Steps > 0 || p.Open == 0 {
		parts = append(parts, status.Count(p.Steps, map[bool]string{true: "step", false: "committed run"}[p.Whole]))
	}
	if p.Open > 0 {
		parts = append(parts, status.Count(p.Open, "open run"))
	}
	return strings.Join(parts, ", ")
}
