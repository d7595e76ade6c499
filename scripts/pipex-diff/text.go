package main

import (
	"bufio"
	"fmt"
	"io/fs"
	"strings"

	"pipex/lib/cli"
	"pipex/lib/draw"
	"pipex/lib/status"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

// text prints a line for each difference, and below a file's the lines that differ in it if patch
// is set.
func (d *comparison) text(out *bufio.Writer, colours, patch bool) error {
	style := draw.Text{Colours: colours}
	for _, list := range [][]fmt.Stringer{stringers(d.step), stringers(d.result), stringers(d.used)} {
		for _, one := range list {
			fmt.Fprintln(out, one)
		}
	}
	for rest := d.artifacts; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Path == rest[0].Path {
			n++
		}
		mark, line := describe(rest[:n])
		fmt.Fprintln(out, style.Status(marks[mark], mark+" "+cli.Harmless(line)))
		if patch {
			if err := d.hunks(out, style, rest[n-1]); err != nil {
				return err
			}
		}
		rest = rest[n:]
	}
	return nil
}

func stringers[T fmt.Stringer](list []T) (all []fmt.Stringer) {
	for _, one := range list {
		all = append(all, one)
	}
	return all
}

// marks are the colours of the marks: those of a status.
var marks = map[string]workspace.Status{"A": workspace.Success, "D": workspace.Failure, "M": workspace.Running}

// describe returns the mark of the differences at a path, and what they are.
func describe(of []tree.Difference) (mark, line string) {
	path := of[0].Path
	if path == "." {
		path = "the artifacts"
	}
	var changes []string
	for _, d := range of {
		switch d.Kind {
		case tree.Extra:
			return "A", path + what(d.Is)
		case tree.Missing:
			return "D", path + what(d.Was)
		case tree.Mode:
			changes = append(changes, fmt.Sprintf("mode %04o -> %04o", bits(d.Was.Mode), bits(d.Is.Mode)))
		case tree.Content:
			changes = append(changes, status.Bytes(d.Was.Size)+" -> "+status.Bytes(d.Is.Size))
		case tree.Link:
			changes = append(changes, "link "+d.Was.Link+" -> "+d.Is.Link)
		default:
			changes = append(changes, kind(d.Was.Mode)+" -> "+kind(d.Is.Mode))
		}
	}
	return "M", path + " (" + strings.Join(changes, ", ") + ")"
}

// what says behind a path what an entry is.
func what(e tree.Entry) string {
	switch {
	case e.Mode.IsDir():
		return "/"
	case e.Mode&fs.ModeSymlink != 0:
		return " -> " + e.Link
	case e.Mode.IsRegular():
		return " (" + status.Bytes(e.Size) + ")"
	}
	return " (" + kind(e.Mode) + ")"
}

// kind names the type of a file.
func kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "directory"
	case m&fs.ModeSymlink != 0:
		return "symlink"
	case m.IsRegular():
		return "file"
	}
	return "special"
}

// bits are the permissions of a mode as chmod takes them.
func bits(m fs.FileMode) uint32 {
	b := uint32(m.Perm())
	for i, special := range []fs.FileMode{fs.ModeSticky, fs.ModeSetgid, fs.ModeSetuid} {
		if m&special != 0 {
			b |= 0o1000 << i
		}
	}
	return b
}

// coloured returns a hunk with its lines in colours.
func coloured(style draw.Text, hunk string) string {
	if !style.Colours {
		return hunk
	}
	var b strings.Builder
	for line := range strings.Lines(hunk) {
		text, end := strings.TrimSuffix(line, "\n"), line[len(strings.TrimSuffix(line, "\n")):]
		switch line[0] {
		case '+':
			text = style.Status(workspace.Success, text)
		case '-':
			text = style.Status(workspace.Failure, text)
		case '@':
			text = style.Weak(text)
		}
		b.WriteString(text + end)
	}
	return b.String()
}
