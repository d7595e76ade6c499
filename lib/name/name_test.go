package name

import (
	"errors"
	"regexp"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	for _, name := range []string{"a", "0", "_", "a-b_C9", "__proto__", "constructor", strings.Repeat("x", 128), "1700000000000-0123abcd"} {
		if err := Check("step", name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{
		"", ".", "..", "/", "a/b", "../a", "-", "-a", "--help", "a b", "a\n", "\na", "a\x00", "é", "a.b", "a\\b", "ａ", "*", strings.Repeat("x", 129),
	} {
		err := Check("step", name)
		var invalid *Error
		if !errors.As(err, &invalid) {
			t.Errorf("%q: %v", name, err)
		} else if strings.ContainsAny(err.Error(), "\n\x00") {
			t.Errorf("%q: the error is not one line: %v", name, err)
		}
	}
}

func TestWorkspaceNames(t *testing.T) {
	for _, name := range []string{"a", "a.b", "my.pipeline.v2", "a-.b", "0.9", "a."} {
		if err := Check(Workspace, name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{".", "..", ".a", "a..b", "-a.b", "a./b", "a.\n", "a b.c"} {
		if err := Check(Workspace, name); err == nil || !strings.Contains(err.Error(), "single dots") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// Every valid name is one path element, cannot be taken for an option, and is safe
// to join to a path.
func FuzzNames(f *testing.F) {
	for _, name := range []string{"a", "", "..", "a/b", "-a", "a\x00", "é", strings.Repeat("x", 129)} {
		f.Add(name)
	}
	safe := regexp.MustCompile(`\A[A-Za-z0-9_][A-Za-z0-9_-]{0,127}\z`)
	f.Fuzz(func(t *testing.T, name string) {
		if got := Check("step", name) == nil; got != safe.MatchString(name) {
			t.Errorf("%q accepted: %t", name, got)
		}
	})
}

func TestNewID(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := NewID()
		if seen[id] {
			t.Fatalf("%s twice", id)
		}
		seen[id] = true
		if !regexp.MustCompile(`\A\d{13}-[0-9a-f]{8}\z`).MatchString(id) || Check("run", id) != nil {
			t.Fatalf("%s is not of the form MILLISECONDS-HEX", id)
		}
	}
}
