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

// Short returns at most max characters of text, harmless as [Harmless] makes them.
func Short(text string, max int) string {
	if len(text) > utf8.UTFMax*max {
		text = text[:utf8.UTFMax*max]
	}
	text = Harmless(text)
	if utf8.RuneCountInString(text) > max {
		text = string([]rune(text)[:max-1]) + "…"
	}
	return text
}
