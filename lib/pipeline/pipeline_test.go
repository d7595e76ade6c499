package pipeline

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pipex/lib/step"
)

// one is the step of a pipeline that has one, and loads.
func one(t *testing.T, text string, opt Options) Step {
	t.Helper()
	p, err := load(t, "p.yaml", steps(text), opt)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return p.Steps[0]
}

func TestSlug(t *testing.T) {
	for name, want := range map[string]string{
		"Données préparées": "donnees-preparees", "  a  b ": "a-b", "x_y.z": "x_y-z", "日本": "", "Œuvre Ænima ß": "oeuvre-aenima-ss", "_a_": "_a_",
		"Node.js Analysis": "node-js-analysis", "--a--b--": "a-b", "": "", "łódź Þórr ðø ĳ ŀ ſ ŉ": "lodz-thorr-do-ij-l-s-n", "İstanbul ı": "istanbul-i",
		"e\u0301te\u0301": "ete", "a×b÷c": "a-b-c", "ế": "", "A\U0001f600B": "a-b", "ÀÉÎÕÜŸČŞŽ": "aeiouycsz", "K": "k",
	} {
		if got := slug(name); got != want {
			t.Errorf("%q: %q, not %q", name, got, want)
		}
	}
}

func TestParseEnv(t *testing.T) {
	for text, want := range map[string]map[string]string{
		"A=1\nB = 2 \n  C=3":                   {"A": "1", "B": "2", "C": "3"},
		"A=1\r\nB=2\r\n":                       {"A": "1", "B": "2"},
		"export A=1\nexport  B=2":              {"A": "1", "B": "2"},
		"A: 1\nB:2\nC=x":                       {"A": "1", "C": "x"},
		"a.b-c_D=1":                            {"a.b-c_D": "1"},
		"A=\nB= \nC=x":                         {"A": "", "B": "", "C": "x"},
		"A\nB=1\n=x\nno line\n":                {"B": "1"},
		"# c\n#A=1\nB=val#x\nC=v # x":          {"B": "val", "C": "v"},
		"A='a # b' # c\nB=\"#\"":               {"A": "a # b", "B": "#"},
		"A='a\nb'\nB=\"c\nd\"\nC=`e'f\"`\nD=1": {"A": "a\nb", "B": "c\nd", "C": "e'f\"", "D": "1"},
		`A="a\nb\tc"` + "\n" + `B='a\nb'`:      {"A": "a\nb\\tc", "B": `a\nb`},
		`A="say \"x\""`:                        {"A": `say \"x\"`},
		`A='it\'s'`:                            {"A": `it\'s`},
		"A=\"open\nB=2":                        {"A": `"open`, "B": "2"},
		"A='x' y\nB='it''s'\nC=a'b'":           {"A": "'x' y", "B": "it''s", "C": "a'b'"},
		"A=1\nA=2":                             {"A": "2"},
		"A=$B ${B}\nB=x\\nD=$A":                {"A": "$B ${B}", "B": `x\nD=$A`},
		"A=b=c":                                {"A": "b=c"},
		"":                                     {},
		"\n\n A=1\n\n\n":                       {"A": "1"},
		"URL=http://x/y?z=1\nPEM=\"-\nabc\n-\"\n": {"URL": "http://x/y?z=1", "PEM": "-\nabc\n-"},
	} {
		if got := parseEnv(text); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, not %q", text, got, want)
		}
	}
}

func TestRawStep(t *testing.T) {
	s := one(t, `id: a
name: A & B
image: i
cmd: [x, 5, 3.10, true, 'y']
env: {N: 5, F: 3.10, B: True, S: 'yes', T: yes, D: 2020-01-01, O: 017, U: 1_000, E: ''}
outputPath: /out
mounts: [{host: src, container: /m}]
sources: [{host: ./src/, container: /s}, {host: ., container: /all}]
caches: [{name: c, path: /c, exclusive: true}, {name: d, path: /d}]
timeoutSec: 1.5
retries: 2
retryDelayMs: 100
allowFailure: true
allowNetwork: true`, Options{})
	want := head + `.PHONY: all
all: a d b
step.a = --spec out/a.json
step.d = --spec out/d.json
step.all = --spec out/all.json
step.b = --spec out/b.json --retries 2 --retry-delay 0.5 --allow-failure
include $(PIPEX_MK)
`
	if got, err := os.ReadFile("out/Makefile"); err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
	files, _ := filepath.Glob("out/*")
	if !reflect.DeepEqual(files, []string{"out/Makefile", "out/a.json", "out/all.json", "out/b.json", "out/d.json"}) {
		t.Error(files)
	}
	f, err := os.Open("out/b.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := step.ReadSpec(f)
	if err != nil || !reflect.DeepEqual(s.Inputs, []step.Input{
		{Step: "a"}, {Step: "d"}, {Step: "d", Copy: true}, {Step: "all", Optional: true}, {Step: "all", Optional: true, Copy: true},
	}) {
		t.Errorf("%+v, %v", s, err)
	}

	// What stays the same keeps its time.
	before := time.Now().Add(-time.Hour).Truncate(time.Second)
	for _, file := range files {
		if err := os.Chtimes(file, before, before); err != nil {
			t.Fatal(err)
		}
	}
	write(strings.Replace(text, "id: d, image: i, cmd: [x]", "id: d, image: i, cmd: [y]", 1))
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil || info.ModTime().Equal(before) == (file == "out/d.json") {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
	write("id: p\nsteps: [{id: a, image: i, cmd: [x], if: false}]")
	if got, err := os.ReadFile("out/Makefile"); err != nil || string(got) != head+".PHONY: all\nall: \n" {
		t.Errorf("%s, %v", got, err)
	}
}

// Nothing that is not ours is overwritten; a name that a Makefile cannot hold is refused,
// and any other is quoted.
func TestWriteRefuses(t *testing.T) {
	p, err := load(t, "p.yaml", steps(raw), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("src/Makefile", []byte("all:\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		"src": "it is not pipex-pipeline's", "a\nb": "a Makefile cannot name it", "src/a": "not a directory",
	} {
		if err := p.Write(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if err := p.Write("$(x) it's #1"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("$(x) it's #1/Makefile")
	if want := `step.a = --spec '$$(x) it'\''s \#1/a.json'` + "\n"; err != nil || !strings.Contains(string(got), want) {
		t.Errorf("%s, %v; no %s", got, err, want)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(steps(raw, "id: b\nuses: node\nwith: {script: x, version: 3.10}\ninputs: [{step: a, optional: true}]\nif: env.A"))
	f.Add("id: &a [*a]\nsteps: *a\n")
	f.Fuzz(func(t *testing.T, text string) {
		root, err := parse("p.yaml", []byte(text))
		if err != nil {
			return
		}
		b := &builder{reader: &reader{file: "p.yaml", dir: "/nowhere"}, network: step.NetworkHost}
		p, err := b.pipeline(root, "")
		if err == nil && len(p.Steps) == 0 {
			t.Error("no error, and no steps")
		}
	})
}
