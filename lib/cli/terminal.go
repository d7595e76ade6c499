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

// Columns returns the width of the terminal f, or otherwise if it is none.
func Columns(f *os.File, otherwise int) int {
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
		return width
	}
	return otherwise
}
