package main

import (
	"os"
	"strings"
	"testing"

	"pipex/lib/step"
)

// The rules say on what each step depends, and which steps may fail; a line that is not
// understood, or that the facts do not fit, stops nothing.
func TestRules(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("f", nil, 0o666); err != nil {
		t.Fatal(err)
	}
	facts := ` stamps S
flags n
force b
step c --input b --optional-input a --input elsewhere -- true
reads c gen odd:name
step b --mount f:/f --mount absent:/g --env NOSUCH-HERE
step a --input z --unknown
step z --copy-input=q
step q --image
reads nobody x
more
`
	if err := os.WriteFile("facts", []byte(facts), 0o666); err != nil {
		t.Fatal(err)
	}
	m, err := readMakefile("facts")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("facts"); err == nil {
		t.Error("the file is still there")
	}
	for _, target := range m.steps {
		target.read("", nil)
		target.again = target.again || target.name == "z"
	}
	if looked := m.looked(); !looked["c"] || !looked["z"] {
		t.Error(looked)
	}
	rules := m.rules(m.looked(), m.tallyFile())
	for _, want := range []string{
		"\nc: S/c.output\nS/c.output: S/c ;\nS/c: export PIPEX_STAMP = \nS/c: S/b.output S/a.tried gen ; @$(call pipex.run,c,)\n",
		"\nS/b: f pipex.always ; @$(call pipex.run,b,)\n",
		"\nS/a: S/a.tried ; @test -e $@\n", "\nS/a.tried: pipex.always ; @$(call pipex.run,a,--tried S/a.tried )\n",
	} {
		if !strings.Contains(rules, want) {
			t.Errorf("no %q in\n%s", want, rules)
		}
	}
	if err := os.WriteFile("facts", []byte("step a.b --image i\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := readMakefile("facts"); err == nil {
		t.Error("a step is called a.b")
	}
}

func TestBelow(t *testing.T) {
	for path, want := range map[string]bool{"/a": true, "/a/b": true, "/ab": false, "/": false, "/c/d": true} {
		if got := below(path, []step.Mount{{Host: "/a"}, {Host: "/c/"}}); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}

// A line is told once it is whole; one that is too long in parts, between characters.
func TestTail(t *testing.T) {
	s := stream{path: t.TempDir() + "/log"}
	var got []string
	add := func(text string, end bool) {
		f, err := os.OpenFile(s.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteString(text)
		f.Close()
		s.lines(end, func(line string) { got = append(got, line) })
	}
	s.lines(true, func(string) { t.Error("there is nothing yet") })
	add("one\ntw", false)
	add("o\n\nthr", false)
	if strings.Join(got, "|") != "one|two|" {
		t.Errorf("%q", got)
	}
	add("ee", true)
	got = got[2:]
	add(strings.Repeat("é", maxLine), true)
	if strings.Join(got[2:], "") != strings.Repeat("é", maxLine) || len(got) != 4 || got[1] != "three" {
		t.Errorf("%q", got)
	}
}
