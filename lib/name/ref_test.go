package name

import (
	"errors"
	"strings"
	"testing"
)

func TestParseRef(t *testing.T) {
	for s, want := range map[string]Ref{
		"a":                       {Name: "a"},
		"1700000000000-0123abcd":  {Name: "1700000000000-0123abcd"},
		"17000000":                {Name: "17000000"},
		"a@open":                  {Name: "a", At: Open},
		"a@linked":                {Name: "a", At: Linked},
		"a^":                      {Name: "a", Back: 1},
		"a@linked^^":              {Name: "a", At: Linked, Back: 2},
		"__proto__@open^":         {Name: "__proto__", At: Open, Back: 1},
		strings.Repeat("x", 128):  {Name: strings.Repeat("x", 128)},
		"1700000000000-0123abcd^": {Name: "1700000000000-0123abcd", Back: 1},
	} {
		if got, err := ParseRef(s); err != nil || got != want {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
	var wrong *Error
	for _, s := range []string{"", "^", "@open", "..", "../a", "a/b", "-a", "a^b", "a^@open", "a\x00", "é@open", strings.Repeat("x", 129)} {
		if _, err := ParseRef(s); !errors.As(err, &wrong) {
			t.Errorf("%q: %v", s, err)
		}
	}
	var usage *UsageError
	for _, s := range []string{"a@", "a@opened", "a@open@linked", "a@OPEN", "a@1"} {
		if _, err := ParseRef(s); !errors.As(err, &usage) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestIsID(t *testing.T) {
	for range 100 {
		if id := NewID(); !IsID(id) {
			t.Errorf("%q is none", id)
		}
	}
	for _, s := range []string{"", "a", "1700000000000", "1700000000000-", "1700000000000-0123abc", "1700000000000-0123abcde", "170000000000a-0123abcd", "1700000000000-0123ABCD", "1700000000000_0123abcd"} {
		if IsID(s) {
			t.Errorf("%q is one", s)
		}
	}
}
