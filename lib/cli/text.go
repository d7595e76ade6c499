package cli

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Harmless returns text with ? in place of each character that is not printable, which a
// terminal might obey, and of each byte that is not UTF-8.
func Harmless(text string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}
