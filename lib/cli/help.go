package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

var commonStatuses = []string{
	"0    done",
	"1    no: no such workspace, run or step; not successful; in use",
	"128  failed: the reason is on stderr, and nothing is half done",
	"129  wrong usage: nothing was changed",
}

// help prints the verb's help: synopsis, options, exit statuses, example.
func (v *Verb) help(w io.Writer) error {
	var b strings.Builder
	for i, form := range v.Synopsis {
		b.WriteString([]string{"usage: ", "       "}[min(i, 1)] + v.Name + " " + form + "\n")
	}
	b.WriteString("\n" + v.About + "\n\nOPTIONS\n")
	for _, f := range append(append([]cli.Flag{}, v.Flags...), globals()...) {
		names, usage := describe(f)
		if len(names) > 24 {
			fmt.Fprintf(&b, "  %s\n  %-24s  %s\n", names, "", usage)
		} else {
			fmt.Fprintf(&b, "  %-24s  %s\n", names, usage)
		}
	}
	statuses := v.Statuses
	if statuses == nil {
		statuses = commonStatuses
	}
	b.WriteString("\nEXIT STATUS\n  " + strings.Join(statuses, "\n  ") + "\n")
	b.WriteString("\nEXAMPLE\n  " + strings.Join(v.Examples, "\n  ") + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// describe returns a flag's names, with a placeholder for its value, and its description.
func describe(f cli.Flag) (names, usage string) {
	doc, _ := f.(cli.DocGenerationFlag)
	value, usage := placeholder(doc.GetUsage())
	var forms []string
	for _, name := range f.Names() {
		if len(name) == 1 {
			forms = append([]string{"-" + name}, forms...)
		} else {
			forms = append(forms, "--"+name)
		}
	}
	names = strings.Join(forms, ", ")
	if g, ok := f.(*cli.GenericFlag); ok && isOptional(g.Value) {
		names += "[=" + value + "]"
	} else if doc.TakesValue() {
		names += " " + value
	}
	return names, usage
}

// placeholder returns the word between back quotes in a usage text, and the text without the quotes.
func placeholder(usage string) (value, text string) {
	before, rest, ok := strings.Cut(usage, "`")
	if !ok {
		return "VALUE", usage
	}
	value, after, _ := strings.Cut(rest, "`")
	return value, before + value + after
}

func isOptional(value any) bool { _, ok := value.(*Optional); return ok }
