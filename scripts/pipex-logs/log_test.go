package main

import (
	"strings"
	"testing"
)

func TestLastLines(t *testing.T) {
	long := strings.Repeat("x", 100<<10)
	for _, test := range []struct {
		text     string
		from, to int64
		n        int
		want     string
	}{
		{"a\nb\nc\n", 0, 6, 2, "b\nc\n"},
		{"a\nb\nc", 0, 5, 2, "b\nc"},
		{"a\nb\nc\n", 0, 6, 9, "a\nb\nc\n"},
		{"a\nb\nc\n", 0, 6, 0, ""},
		{"a\nb\nc\n", 2, 6, 9, "b\nc\n"},
		{"a\nb\nc\n", 0, 4, 1, "b\n"},
		{"\n\n\n", 0, 3, 2, "\n\n"},
		{"", 0, 0, 3, ""},
		{"a\n" + long + "\nb\n" + long, 0, 5 + 200<<10, 3, long + "\nb\n" + long},
		{"a", 1, 1, 1, ""},
	} {
		at, err := lastLines(strings.NewReader(test.text), test.from, test.to, test.n)
		if err != nil || test.text[at:test.to] != test.want {
			t.Errorf("the last %d lines of %.20q from %d to %d begin at %d: %v", test.n, test.text, test.from, test.to, at, err)
		}
	}
}
