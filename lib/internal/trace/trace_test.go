package trace

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// traced is what is traced while do runs.
func traced(t *testing.T, do func()) string {
	t.Helper()
	var text bytes.Buffer
	To(&text)
	defer To(nil)
	do()
	return text.String()
}

var line = regexp.MustCompile(`^\S+\[\d+\] +\d+\.\d{3}ms \+\d+\.\d{3}ms (.*)$`)

// A part that fails is traced as well, and so is one that panics.
func TestRegionIsTracedHoweverItEnds(t *testing.T) {
	text := traced(t, func() {
		func() error {
			defer Region("part %s", "that fails")()
			return errors.New("x")
		}()
		func() {
			defer func() { recover() }()
			defer Region("part that panics")()
			panic("x")
		}()
	})
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i, want := range []string{"part that fails", "part that panics"} {
		if m := line.FindStringSubmatch(lines[min(i, len(lines)-1)]); len(lines) != 2 || m == nil || m[1] != want {
			t.Errorf("%q is not in %q", want, text)
		}
	}
}

// The line is written when the part ends, so an inner part stands before an outer one.
func TestRegionsAreTracedAsTheyEnd(t *testing.T) {
	text := traced(t, func() {
		end := Region("outer")
		Region("inner")()
		end()
	})
	if inner, outer := strings.Index(text, "inner"), strings.Index(text, "outer"); inner < 0 || outer < inner {
		t.Errorf("%q", text)
	}
}

// stranger fails the test when something formats it.
type stranger struct{ t *testing.T }

func (s stranger) String() string {
	s.t.Error("an argument was formatted")
	return ""
}

func TestNothingIsTracedWhenOff(t *testing.T) {
	if On() {
		t.Fatal("tracing is on without being asked for")
	}
	Region("part %s", stranger{t})()
	traced(t, func() {
		if !On() {
			t.Error("tracing is off")
		}
	})
	if n := testing.AllocsPerRun(100, func() { Region("part")() }); n > 0 {
		t.Errorf("%v allocations a part", n)
	}
}

// torn takes what is written in pieces, so that two writers at once would mix.
type torn struct{ bytes.Buffer }

func (w *torn) Write(p []byte) (int, error) {
	for i := range p {
		w.Buffer.Write(p[i : i+1])
	}
	return len(p), nil
}

func TestLinesOfGoroutinesDoNotMix(t *testing.T) {
	var text torn
	To(&text)
	defer To(nil)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { Region("part of %s", "many")() })
	}
	all.Wait()
	lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	if len(lines) != 50 {
		t.Errorf("%d lines", len(lines))
	}
	for _, l := range lines {
		if m := line.FindStringSubmatch(l); m == nil || m[1] != "part of many" {
			t.Errorf("%q", l)
		}
	}
}
