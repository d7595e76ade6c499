package trace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// lines is what is printed while do runs, without the first line, "start", and the last, "total".
func lines(t *testing.T, do func()) []string {
	t.Helper()
	var text bytes.Buffer
	printed(t, &text, do)
	all := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	if len(all) < 2 || what(t, all[0]) != "start" || what(t, all[len(all)-1]) != "total" {
		t.Fatalf("%q", all)
	}
	return all[1 : len(all)-1]
}

func printed(t *testing.T, to io.Writer, do func()) {
	t.Helper()
	Begin(Config{Program: "p", Lines: to})
	do()
	if err := End(0, false); err != nil {
		t.Error(err)
	}
}

var form = regexp.MustCompile(`^p\[\d+\] +\d+\.\d{3}ms \+ *\d+\.\d{3}ms (.*)$`)

// what is what a line says after its two times.
func what(t *testing.T, line string) string {
	t.Helper()
	m := form.FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("%q", line)
	}
	return m[1]
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	for i := range got {
		got[i] = what(t, got[i])
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// A part that fails is traced as well, and so is one that panics.
func TestRegionIsTracedHoweverItEnds(t *testing.T) {
	expect(t, lines(t, func() {
		func() error {
			defer Region("part %s", "that fails")()
			return errors.New("x")
		}()
		func() {
			defer func() { recover() }()
			defer Region("part that panics")()
			panic("x")
		}()
	}), "part that fails", "part that panics")
}

// The line is written when the part ends, so an inner part stands before an outer one, indented.
func TestPartsArePrintedAsTheyEnd(t *testing.T) {
	expect(t, lines(t, func() {
		end := Region("outer")
		Region("inner")()
		_, call := Start(t.Context(), "pkg.Service/Method", "of something")
		call.Call()
		call.End()
		end()
		Region("next")()
	}), "  inner", "  Service/Method", "outer", "next")
}

// What runs beside other parts is within the part of its context, whatever these begin.
func TestPartsOfGoroutinesAreWithinThoseOfTheirContext(t *testing.T) {
	expect(t, lines(t, func() {
		end := Region("outer")
		ctx, beside := Start(context.Background(), "beside")
		other := Region("other")
		_, within := Start(ctx, "within")
		within.End()
		other()
		beside.End()
		end()
	}), "    within", "  other", "  beside", "outer")
}

// stranger fails the test when something formats it.
type stranger struct{ t *testing.T }

func (s stranger) String() string {
	s.t.Error("an argument was formatted")
	return ""
}

func TestNothingIsDoneWhenOff(t *testing.T) {
	if On() {
		t.Fatal("tracing is on without being asked for")
	}
	Region("part %s", stranger{t})()
	ctx, path := t.Context(), t.TempDir()
	if n := testing.AllocsPerRun(100, func() {
		Region("part")()
		inner, s := Start(ctx, "part", path)
		s.Set("a", "b")
		s.SetInt("c", 1)
		s.Call()
		s.End()
		if inner != ctx {
			t.Error("another context")
		}
		Name("x", "k", path)
	}); n > 0 {
		t.Errorf("%v allocations a part", n)
	}
	if Traceparent() != "" || End(1, true) != nil {
		t.Error("something was traced")
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
	printed(t, &text, func() {
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { Region("part of %s", "many")() })
		}
		all.Wait()
	})
	if n := len(regexp.MustCompile(`(?m)^p\[\d+\] +\d+\.\d{3}ms \+ *\d+\.\d{3}ms +part of many$`).FindAllString(text.String(), -1)); n != 50 {
		t.Errorf("%d lines in %q", n, text.String())
	}
}

// The process began before any of its code ran, and not long before.
func TestStartIsBeforeMain(t *testing.T) {
	var text bytes.Buffer
	printed(t, &text, func() {})
	var began, took float64
	first, _, _ := strings.Cut(text.String(), "] ")
	if _, err := fmt.Sscanf(strings.TrimPrefix(text.String(), first+"] "), "%fms +%fms start", &began, &took); err != nil || began != 0 || took <= 0 {
		t.Errorf("%v: %q", err, text.String())
	}
}
