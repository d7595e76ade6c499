package main

import (
	"bufio"
	"strings"
	"testing"
	"unicode/utf8"

	"pipex/lib/status"
)

// A record that another tool wrote may hold anything; a terminal sees none of it.
func TestTableIsHarmless(t *testing.T) {
	var b strings.Builder
	out := bufio.NewWriter(&b)
	table(out, "STEP", []*status.Row{{StepID: "a", StepName: "\x1b[31m\nred", Status: "\x07", Reason: strings.Repeat("é", 500) + "\xff"}})
	out.Flush()
	lines := strings.Split(b.String(), "\n")
	if len(lines) != 3 || strings.ContainsAny(b.String(), "\x1b\x07") || !utf8.ValidString(b.String()) || len([]rune(lines[1])) > 250 || !strings.HasPrefix(lines[1], "a (?[31m?red)  ?") {
		t.Errorf("%q", b.String())
	}
}
