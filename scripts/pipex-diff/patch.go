package main

import (
	"bufio"
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"

	"github.com/aymanbagabas/go-udiff"

	"pipex/lib/cli"
	"pipex/lib/draw"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

// maxText is the greatest size of a file whose lines are compared, in bytes.
const maxText = 1 << 20

// hunks prints the lines that differ in a file, as patch(1) reads them, or why they are not shown.
func (d *comparison) hunks(out *bufio.Writer, style draw.Text, of tree.Difference) error {
	if !of.Was.Mode.IsRegular() && of.Kind != tree.Extra || !of.Is.Mode.IsRegular() && of.Kind != tree.Missing ||
		of.Kind != tree.Content && of.Kind != tree.Extra && of.Kind != tree.Missing {
		return nil
	}
	from, was, why := "/dev/null", "", ""
	if of.Kind != tree.Extra {
		from = "a/" + cli.Harmless(of.Path)
		was, why = read(d.was, of.Path)
	}
	to, is, also := "/dev/null", "", ""
	if of.Kind != tree.Missing {
		to = "b/" + cli.Harmless(of.Path)
		is, also = read(d.is, of.Path)
	}
	if why == "" {
		why = also
	}
	if why != "" {
		_, err := fmt.Fprintln(out, style.Weak("  "+why))
		return err
	}
	_, err := out.WriteString(coloured(style, udiff.Unified(from, to, was, is)))
	return err
}

// read returns the content of a file that is short and text: in UTF-8, without what a terminal
// obeys. Otherwise it says why not.
func read(r workspace.Run, path string) (text, why string) {
	f, err := r.OpenArtifact(path)
	if err != nil {
		return "", "not shown: " + cli.Short(err.Error(), 200)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxText+1))
	switch {
	case err != nil:
		return "", "not shown: " + cli.Short(err.Error(), 200)
	case len(data) > maxText:
		return "", "not shown: more than 1 MiB"
	case !isText(string(data)):
		return "", "not shown: not text"
	}
	return string(data), ""
}

func isText(s string) bool {
	for _, r := range s {
		if r == utf8.RuneError || unicode.IsControl(r) && r != '\n' && r != '\t' {
			return false
		}
	}
	return true
}
