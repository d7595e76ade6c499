package main

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/russross/blackfriday/v2"
)

// renderer is go-md2man's, except for what that renders in a way that man pages cannot
// have (links between them), that mandoc -Tlint warns of (blank lines), or that reads
// badly in 80 columns (tables, quotes and hyphens that are not those of a shell).
type renderer struct {
	blackfriday.Renderer
	page  *page
	pages map[string]*page // by file
}

// roff returns the page as a man page of the day "when".
func (p *page) roff(pages map[string]*page, when string) []byte {
	var b bytes.Buffer
	r := &renderer{md2man.NewRoffRenderer(), p, pages}
	p.doc.FirstChild.FirstChild.Literal = fmt.Appendf(nil, "%s %s \"%s\" \"pipex\" \"pipex manual\"", strings.ToUpper(p.name), p.section, when)
	p.doc.Walk(func(node *blackfriday.Node, entering bool) blackfriday.WalkStatus {
		return r.RenderNode(&b, node, entering)
	})
	return lines(b.String())
}

func (r *renderer) RenderNode(w io.Writer, node *blackfriday.Node, entering bool) blackfriday.WalkStatus {
	switch node.Type {
	case blackfriday.Text:
		return r.text(w, node)
	case blackfriday.Code:
		return put(w, `\fB`+escape(string(node.Literal), true)+`\fP`)
	case blackfriday.Heading:
		if node.Level == 1 && !entering {
			// No word is divided, lines are not stretched, and a sentence ends with one blank.
			return put(w, "\n.nr HY 0\n.nh\n.ad l\n.ss 12 0\n")
		}
	case blackfriday.Paragraph:
		put(w, around(node, entering))
		return blackfriday.GoToNext
	case blackfriday.CodeBlock:
		return r.block(w, node)
	case blackfriday.Item:
		// Items without blank lines between them stay so.
		if entering && node.Prev != nil && tight(node.Parent) && node.Prev.Prev == nil {
			put(w, "\n.PD 0\n")
		}
	case blackfriday.List:
		if !entering && tight(node) && node.FirstChild != node.LastChild {
			put(w, "\n.PD\n")
		}
	case blackfriday.Link:
		return r.link(w, node)
	case blackfriday.Table:
		return r.table(w, node)
	}
	return r.Renderer.RenderNode(w, node, entering)
}

func put(w io.Writer, text string) blackfriday.WalkStatus {
	io.WriteString(w, text) // a buffer, which takes all
	return blackfriday.SkipChildren
}

func (r *renderer) text(w io.Writer, node *blackfriday.Node) blackfriday.WalkStatus {
	text := string(node.Literal)
	heading := node.Parent
	if heading.Type == blackfriday.Heading {
		if heading.Level == 2 {
			text = strings.ToUpper(text)
		}
		if heading.Level > 1 {
			text = escape(text, false)
		}
		return put(w, text)
	}
	literal := node.Parent.Type == blackfriday.Strong || node.Parent.Type == blackfriday.Emph
	text = escape(text, literal)
	if before := node.Parent.Prev; before != nil && before.Type == blackfriday.Heading && plain(before) == "Name" {
		text = strings.Replace(text, " - ", ` \- `, 1) // as lexgrog(1) wants it
	}
	return put(w, text)
}

var escapes = strings.NewReplacer(`\`, `\e`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`)

// names are literals wherever they stand.
var names = strings.NewReplacer("pipex-", `pipex\-`, " --", ` \-\-`)
var literals = strings.NewReplacer("-", `\-`, "'", `\(aq`)
var commands = regexp.MustCompile(`(?m)^[.']`)

// escape returns text so that roff prints it. Of a literal, which a reader may paste, no
// hyphen or quote becomes a typographic one.
func escape(text string, literal bool) string {
	text = escapes.Replace(text)
	if literal {
		text = literals.Replace(text)
	} else {
		text = names.Replace(text)
	}
	return commands.ReplaceAllString(text, `\&$0`)
}

// around returns what stands before, or after, a paragraph.
func around(node *blackfriday.Node, entering bool) string {
	switch {
	case !entering || node.Prev != nil && node.Prev.Type == blackfriday.Heading:
		return "\n"
	case node.Parent.Type != blackfriday.Item:
		return "\n.PP\n"
	case node.Prev != nil:
		return "\n.IP\n"
	}
	return ""
}

// block renders code: further to the right than the text before it, except in a synopsis.
func (r *renderer) block(w io.Writer, node *blackfriday.Node) blackfriday.WalkStatus {
	begin, end := "\n.IP \"\" 4\n", ""
	switch before := node.Prev; {
	case node.Parent.Type == blackfriday.Item:
		begin = "\n.IP\n"
	case before.Type == blackfriday.Heading && plain(before) == "Synopsis":
		begin = "\n"
	case before.Type == blackfriday.Heading: // where .IP would leave a line blank
		begin, end = "\n.RS 4\n", ".RE\n"
	}
	return put(w, begin+".EX\n"+escape(string(node.Literal), true)+".EE\n"+end)
}

func tight(list *blackfriday.Node) bool {
	if list.ListFlags&blackfriday.ListTypeDefinition != 0 {
		return false
	}
	for item := list.FirstChild; item != nil; item = item.Next {
		if item.ListFlags&blackfriday.ListItemContainsBlock != 0 {
			return false
		}
	}
	return true
}

// link renders a link to a page of the manual as a man page names others, and any other link
// as its text and where it leads.
func (r *renderer) link(w io.Writer, node *blackfriday.Node) blackfriday.WalkStatus {
	file, _, _ := strings.Cut(string(node.Destination), "#")
	to, text := r.pages[file], plain(node)
	if to != nil && (text == to.name || "pipex-"+text == to.name || text == to.name+"("+to.section+")") {
		return put(w, to.String())
	}
	if to == nil && text+".md" == file {
		return put(w, `\fI`+escape(file, true)+`\fP`)
	}
	r.children(w, node)
	switch {
	case file == "" || to == r.page && to != nil || text == file:
	case to != nil:
		put(w, " ("+to.String()+")")
	case strings.Contains(file, "://"):
		put(w, ` \[la]`+escape(string(node.Destination), true)+`\[ra]`)
	default:
		put(w, ` (\fI`+escape(file[strings.LastIndex(file, "/")+1:], true)+`\fP)`)
	}
	return blackfriday.SkipChildren
}

func (p *page) String() string { return `\fB` + escape(p.name, true) + `\fP(` + p.section + ")" }

func (r *renderer) children(w io.Writer, node *blackfriday.Node) {
	for child := node.FirstChild; child != nil; child = child.Next {
		child.Walk(func(n *blackfriday.Node, entering bool) blackfriday.WalkStatus {
			return r.RenderNode(w, n, entering)
		})
	}
}

// table renders a table as a list, since that needs no more than 80 columns: each row is the
// first cell and what the others say of it, if there are several with the heads of the columns.
func (r *renderer) table(w io.Writer, node *blackfriday.Node) blackfriday.WalkStatus {
	var rows [][]string
	node.Walk(func(n *blackfriday.Node, entering bool) blackfriday.WalkStatus {
		if entering && n.Type == blackfriday.TableRow {
			rows = append(rows, nil)
		}
		if !entering || n.Type != blackfriday.TableCell {
			return blackfriday.GoToNext
		}
		var cell bytes.Buffer
		r.children(&cell, n)
		rows[len(rows)-1] = append(rows[len(rows)-1], cell.String())
		return blackfriday.SkipChildren
	})
	head := rows[0]
	for i, row := range rows[1:] {
		var about []string
		for column, cell := range row {
			switch {
			case column == 0 || cell == "":
			case len(head) > 2:
				about = append(about, `\fI`+head[column]+`\fP: `+cell)
			default:
				about = append(about, cell)
			}
		}
		put(w, []string{"\n.TP\n", "\n.PD 0\n.TP\n"}[min(i, 1)]+row[0]+"\n"+strings.Join(about, "\n.br\n")+"\n")
	}
	return put(w, ".PD\n")
}

// lines brings the lines into the form that mandoc -Tlint wants: none is blank or too long,
// except between .EX and .EE, where each line is one of the page.
func lines(text string) []byte {
	var b bytes.Buffer
	example, before := false, ""
	for line := range strings.Lines(text) {
		word := strings.TrimSpace(line)
		if word == ".EX" || word == ".EE" {
			example = word == ".EX"
		}
		switch {
		case example:
			b.WriteString(line)
		case word == "":
			continue
		case word[0] == '.' || before == ".TP":
			b.WriteString(word + "\n")
		default:
			fill(&b, word)
		}
		before = word
	}
	return b.Bytes()
}

// fill writes the words of text in lines of less than 80 bytes.
func fill(b *bytes.Buffer, text string) {
	length := 0
	for word := range strings.FieldsSeq(text) {
		switch {
		case length == 0:
		case length+len(word) >= 79:
			b.WriteByte('\n')
			length = 0
		default:
			b.WriteByte(' ')
			length++
		}
		if length == 0 && strings.ContainsAny(word[:1], ".'") {
			word = `\&` + word
		}
		b.WriteString(word)
		length += len(word)
	}
	b.WriteByte('\n')
}
