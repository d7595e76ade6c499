package main

import (
	"unicode/utf8"

	"pipex/lib/cli"
)

func plural(n int, what string) string {
	if n == 1 {
		return what
	}
	return what + "s"
}

// short returns text without control characters, which a terminal could obey, and at most
// max characters of it.
func short(text string, max int) string {
	text = cli.Harmless(text)
	if utf8.RuneCountInString(text) > max {
		text = string([]rune(text)[:max-1]) + "…"
	}
	return text
}
