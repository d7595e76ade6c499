package cli

import (
	"os"

	"golang.org/x/term"
)

// Colours reports whether to write colours to f: it is a terminal that has them, and the user
// has not set NO_COLOR (https://no-color.org).
func Colours(f *os.File) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

// Screen returns the size of the terminal f on which a picture can be drawn again and again; ok is
// false if it is none, or one that moves no cursor.
func Screen(f *os.File) (columns, rows int, ok bool) {
	columns, rows, err := term.GetSize(int(f.Fd()))
	return columns, rows, err == nil && columns > 0 && rows > 0 && os.Getenv("TERM") != "dumb"
}

// Columns returns the width of the terminal f, or otherwise if it is none.
func Columns(f *os.File, otherwise int) int {
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
		return width
	}
	return otherwise
}
