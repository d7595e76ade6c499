package trace

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const example = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestParseParent(t *testing.T) {
	for _, c := range []struct {
		text string
		ok   bool
	}{
		{example, true},
		{strings.TrimSuffix(example, "1") + "0", true},                       // not recorded by the caller
		{"01" + example[2:] + "-what-comes-later", true},                     // a later version
		{"cc" + example[2:], true},                                           // likewise
		{"", false},                                                          //
		{example[:54], false},                                                // too short
		{example + "-", false},                                               // too long for version 00
		{"01" + example[2:] + "x", false},                                    // no hyphen
		{"ff" + example[2:], false},                                          // no version
		{strings.ToUpper(example), false},                                    // lower case only
		{strings.Replace(example, "-", "_", 1), false},                       //
		{strings.Replace(example, "4bf9", "4bg9", 1), false},                 // no digit
		{strings.Replace(example, "4bf9", "4-f9", 1), false},                 // likewise
		{" " + example, false},                                               //
		{"00-" + strings.Repeat("0", 32) + example[35:], false},              // no trace
		{example[:36] + strings.Repeat("0", 16) + example[52:], false},       // no span
		{"00-4bf92f3577b34da6a3ce929d0e0e4736a-0f067aa0ba902b7-01", false},   // hyphen in the wrong place
		{"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1-", false},   //
		{"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n", false}, //
	} {
		p, ok := parseParent(c.text)
		if ok != c.ok {
			t.Errorf("%q: %v", c.text, ok)
		}
		if ok && (p.trace.String() != example[3:35] || p.span.String() != example[36:52]) {
			t.Errorf("%q: %v %v", c.text, p.trace, p.span)
		}
	}
}

func FuzzParseParent(f *testing.F) {
	f.Add(example)
	f.Fuzz(func(t *testing.T, text string) {
		p, ok := parseParent(text)
		if ok && (text[3:35] != p.trace.String() || text[36:52] != p.span.String()) {
			t.Errorf("%q: %v %v", text, p.trace, p.span)
		}
	})
}

// What a process starts is in the same trace, within the span of the process.
func TestEnviron(t *testing.T) {
	t.Setenv("TRACEPARENT", example)
	t.Setenv("TRACESTATE", "a=b")
	t.Setenv("PIPEX_TRACE", "file")
	if p := Traceparent(); p != "" || !slices.Contains(Environ(), "TRACEPARENT="+example) {
		t.Errorf("%q: changed while nothing is traced", p)
	}
	t.Chdir(t.TempDir())
	path, _ := filepath.Abs("file")
	for _, c := range []struct {
		parent string
		same   bool
	}{{example, true}, {"x", false}} {
		Begin(Config{Program: "p", Path: "file", Parent: c.parent, State: "a=b"})
		end := Region("outer")
		p, ok := parseParent(Traceparent())
		if !ok || p.span != on.root.id || (p.trace.String() == example[3:35]) != c.same {
			t.Errorf("%q after %q", Traceparent(), c.parent)
		}
		env := Environ()
		for want, is := range map[string]bool{"TRACEPARENT=" + Traceparent(): true, "TRACEPARENT=" + example: false, "TRACESTATE=a=b": c.same, "PIPEX_TRACE=" + path: true, "PIPEX_TRACE=file": false} {
			if slices.Contains(env, want) != is {
				t.Errorf("%s: %v", want, !is)
			}
		}
		end()
		if err := End(0, false); err != nil {
			t.Error(err)
		}
	}
}
