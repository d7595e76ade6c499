package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/russross/blackfriday/v2"
)

// page is a page of the manual.
type page struct {
	name, section string
	doc           *blackfriday.Node
}

// sections are those of the page of a program, in their order.
var sections = []string{"Name", "Synopsis", "Description", "Options", "Output", "Exit status", "Environment", "Files", "Examples", "See also"}

// optional are the sections that stand only if there is something to say.
var optional = []string{"Environment", "Files"}

var (
	title = regexp.MustCompile(`^([a-z0-9-]+)\(([157])\)$`)
	named = regexp.MustCompile(`^([a-z0-9-]+) - ([a-z].*[^.])$`)
)

// read returns the pages of the manual in docs, by the names of their files.
func read(docs string) (map[string]*page, error) {
	files, err := filepath.Glob(filepath.Join(docs, "*.md"))
	if err != nil {
		return nil, err
	}
	pages := map[string]*page{}
	var wrong []error
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		p, err := parse(text)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", file, err))
		} else if p != nil {
			pages[filepath.Base(file)] = p
		}
	}
	if len(pages)+len(wrong) == 0 {
		return nil, fmt.Errorf("no pages of the manual in %q", docs)
	}
	return pages, errors.Join(wrong...)
}

// parse returns nil if text is a guide, and an error if it is a page that is not as
// CONTRIBUTING.md wants it.
func parse(text []byte) (*page, error) {
	doc := blackfriday.New(blackfriday.WithExtensions(md2man.NewRoffRenderer().GetExtensions())).Parse(text)
	if doc.FirstChild == nil || doc.FirstChild.Type != blackfriday.Heading {
		return nil, nil
	}
	match := title.FindStringSubmatch(plain(doc.FirstChild))
	if match == nil {
		return nil, nil
	}
	p := &page{match[1], match[2], doc}
	return p, p.check()
}

func (p *page) check() error {
	var have []string
	for node := p.doc.FirstChild.Next; node != nil; node = node.Next {
		switch {
		case node.Type == blackfriday.Heading && node.Level == 1:
			return fmt.Errorf("a second title: %q", plain(node))
		case node.Type == blackfriday.Heading && node.Level == 2:
			have = append(have, plain(node))
		case len(have) == 0:
			return errors.New(`something stands between the title and "## Name"`)
		}
	}
	if err := p.order(have); err != nil {
		return err
	}
	name := named.FindStringSubmatch(plain(p.doc.FirstChild.Next.Next))
	if name == nil || name[1] != p.name {
		return fmt.Errorf(`the text of "Name" is not "%s - does this", in lower case and without a full stop`, p.name)
	}
	return nil
}

// order checks the sections. Pages of formats and overviews have others between these.
func (p *page) order(have []string) error {
	if p.section != "1" {
		if len(have) < 3 || have[0] != "Name" || have[len(have)-1] != "See also" {
			return errors.New(`the first section is not "Name", or the last not "See also"`)
		}
		return nil
	}
	var want []string
	for _, section := range sections {
		if slices.Contains(have, section) || !slices.Contains(optional, section) {
			want = append(want, section)
		}
	}
	if !slices.Equal(have, want) {
		return fmt.Errorf("the sections are %s; they should be %s", strings.Join(have, ", "), strings.Join(want, ", "))
	}
	return nil
}

// plain returns the text of a node without its markup.
func plain(node *blackfriday.Node) string {
	var b strings.Builder
	node.Walk(func(n *blackfriday.Node, entering bool) blackfriday.WalkStatus {
		if entering {
			b.Write(n.Literal)
		}
		return blackfriday.GoToNext
	})
	return b.String()
}
