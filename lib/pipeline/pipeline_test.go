package pipeline

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pipex/lib/pipeline/kits"
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
	dir, _ := os.Getwd()
	want := Step{
		ID: "a", Name: "A & B", Inputs: []Input{}, Retries: 2, RetryDelay: step.Duration(100 * time.Millisecond), AllowFailure: true,
		Spec: step.Spec{
			Step: "a", Name: "A & B", Image: "i", Options: step.Options{Cmd: []string{"x", "5", "3.1", "true", "y"}, Network: step.NetworkHost, Output: "/out",
				Env: map[string]string{"N": "5", "F": "3.1", "B": "true", "S": "yes", "T": "yes", "D": "2020-01-01", "O": "17", "U": "1_000", "E": ""}},
			Mounts: []step.Mount{{Host: dir + "/src", Path: "/m"}}, Sources: []step.Mount{{Host: dir + "/src", Path: "/s"}, {Host: dir, Path: "/all"}},
			Caches:  []step.Cache{{Name: "c", Path: "/c", Exclusive: true}, {Name: "d", Path: "/d"}},
			Timeout: step.Duration(1500 * time.Millisecond),
		},
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("%+v\nnot %+v", s, want)
	}
	s = one(t, "name: A b\nimage: i\ncmd: [x]\nretries: null\nenv:\n", Options{})
	if s.ID != "a-b" || s.Name != "A b" || s.RetryDelay != step.Duration(5*time.Second) || s.Spec.Network != step.NetworkNone || s.Spec.Entrypoint != nil || s.Spec.Env != nil {
		t.Errorf("%+v", s)
	}
}

func TestPipelineNames(t *testing.T) {
	p, err := load(t, "p.yaml", "name: Données\nsteps: [{id: a, image: i, cmd: [x]}]", Options{})
	if err != nil || p.ID != "donnees" || p.Name != "Données" || p.Workspace != "donnees" || p.Steps[0].Name != "a" {
		t.Errorf("%+v, %v", p, err)
	}
	p, err = load(t, "p.yaml", "id: p\nsteps: [{id: a, image: i, cmd: [x]}]", Options{Workspace: "ws"})
	if err != nil || p.ID != "p" || p.Name != "p" || p.Workspace != "ws" {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestKits(t *testing.T) {
	setup := func(network step.Network, cache, path, script string) *step.Setup {
		return &step.Setup{Cmd: sh(script), Network: network, Caches: []step.Cache{{Name: cache, Path: path, Exclusive: true}}}
	}
	npm := "cd /app && npm install --no-package-lock --no-audit --no-fund 2>&1"
	none := &[]string{}
	dir := t.TempDir()
	for text, want := range map[string]step.Spec{
		"uses: shell\nwith: {run: ls -l}":                           {Image: "alpine:3.20", Options: step.Options{Cmd: sh("ls -l")}},
		"uses: shell\nwith: {run: ls, packages: []}":                {Image: "alpine:3.20", Options: step.Options{Cmd: sh("ls")}},
		"uses: shell\nwith: {run: ls, image: i, src: src}":          {Image: "i", Options: step.Options{Cmd: sh("ls")}, Mounts: []step.Mount{{Host: dir + "/src", Path: "/app"}}},
		"uses: shell\nwith: {run: ls, image: null, packages: null}": {Image: "alpine:3.20", Options: step.Options{Cmd: sh("ls")}},
		"uses: shell\nwith: {run: ls, packages: [a, b]}": {Image: "debian:bookworm-slim", Options: step.Options{Cmd: sh("ls"), CapAdd: []string{"SETUID", "SETGID"}, Entrypoint: none},
			Setup: setup("host", "apt-cache", "/var/cache/apt", "apt-get update && apt-get install -y --no-install-recommends a b && rm -rf /var/lib/apt/lists/*")},
		"uses: node\nwith: {script: a.js, src: src}": {Image: "node:24-alpine", Options: step.Options{Cmd: sh("node /app/a.js"), Entrypoint: none},
			Sources: []step.Mount{{Host: dir + "/src", Path: "/app"}}, Setup: setup("host", "npm-cache", "/root/.npm", npm)},
		"uses: node\nwith: {run: x, version: 22, variant: slim, packageManager: pnpm}": {Image: "node:22-slim", Options: step.Options{Cmd: sh("x"), Entrypoint: none},
			Setup: setup("host", "pnpm-store", "/root/.local/share/pnpm/store", "cd /app && pnpm install --no-frozen-lockfile 2>&1")},
		"uses: node\nwith: {run: x, version: '22', packageManager: yarn}": {Image: "node:22-alpine", Options: step.Options{Cmd: sh("x"), Entrypoint: none},
			Setup: setup("host", "yarn-cache", "/usr/local/share/.cache/yarn", "cd /app && yarn install 2>&1")},
		"uses: node\nwith: {run: x, install: false, packageManager: yarn}": {Image: "node:24-alpine", Options: step.Options{Cmd: sh("x")}},
		"uses: python\nwith: {script: a.py, src: src, version: 3.10}": {Image: "python:3.10-slim", Options: step.Options{Cmd: sh("python /app/a.py"), Entrypoint: none},
			Mounts: []step.Mount{{Host: dir + "/src", Path: "/app"}},
			Setup:  setup("host", "pip-cache", "/root/.cache/pip", "pip install --quiet --root-user-action=ignore -r /app/requirements.txt 2>&1")},
		"uses: python\nwith: {run: x, packageManager: uv}": {Image: "python:3.12-slim", Options: step.Options{Cmd: sh("x"), Entrypoint: none},
			Setup: setup("host", "uv-cache", "/root/.cache/uv", "uv pip install --quiet -r /app/requirements.txt 2>&1")},
		// What the step says besides.
		"uses: node\nwith: {run: x}\nallowNetwork: true\nsetup: {cmd: [y], caches: [{name: c, path: /c}, {name: npm-cache, path: /n}], allowNetwork: false}": {
			Image: "node:24-alpine", Options: step.Options{Cmd: sh("x"), Entrypoint: none, Network: "host"},
			Setup: &step.Setup{Cmd: []string{"y"}, Network: "host", Caches: []step.Cache{{Name: "npm-cache", Path: "/n"}, {Name: "c", Path: "/c"}}}},
		"uses: node\nwith: {run: x}\nsetup: {cmd: [y], allowNetwork: false}": {Image: "node:24-alpine", Options: step.Options{Cmd: sh("x"), Entrypoint: none}, Setup: &step.Setup{Cmd: []string{"y"}, Network: "none",
			Caches: []step.Cache{{Name: "npm-cache", Path: "/root/.npm", Exclusive: true}}}},
		"uses: node\nwith: {run: x}\nsetup: {cmd: [y]}": {Image: "node:24-alpine", Options: step.Options{Cmd: sh("x"), Entrypoint: none}, Setup: &step.Setup{Cmd: []string{"y"}, Network: "host",
			Caches: []step.Cache{{Name: "npm-cache", Path: "/root/.npm", Exclusive: true}}}},
		"uses: shell\nwith: {run: x, src: src}\nmounts: [{host: src, container: /b}]\nsetup: {cmd: [y]}": {Image: "alpine:3.20", Options: step.Options{Cmd: sh("x"), Entrypoint: none},
			Mounts: []step.Mount{{Host: dir + "/src", Path: "/app"}, {Host: dir + "/src", Path: "/b"}}, Setup: &step.Setup{Cmd: []string{"y"}, Network: "none"}},
		"image: i\ncmd: [x]\nsetup: {cmd: [y], allowNetwork: true, caches: [{name: c, path: /other}]}\ncaches: [{name: c, path: /c}]": {Image: "i", Options: step.Options{Cmd: []string{"x"}, Entrypoint: none},
			Caches: []step.Cache{{Name: "c", Path: "/c"}}, Setup: &step.Setup{Cmd: []string{"y"}, Network: "host", Caches: []step.Cache{{Name: "c", Path: "/c"}}}},
	} {
		got := one(t, "id: a\n"+text, Options{}).Spec
		here, _ := os.Getwd()
		want.Step, want.Name = "a", "a"
		if want.Network == "" {
			want.Network = step.NetworkNone
		}
		data, _ := json.Marshal(got)
		expected, _ := json.Marshal(want)
		if strings.ReplaceAll(string(data), here, dir) != string(expected) {
			t.Errorf("%s\n%s\nnot\n%s", text, data, expected)
		}
	}
}

func TestNetworkOption(t *testing.T) {
	s := one(t, "id: a\nimage: i\ncmd: [x]\nsetup: {cmd: [y], allowNetwork: true}", Options{Network: step.NetworkBridge})
	if s.Spec.Network != step.NetworkNone || s.Spec.Setup.Network != step.NetworkBridge {
		t.Errorf("%+v %+v", s.Spec, s.Spec.Setup)
	}
}

func TestEnvOrder(t *testing.T) {
	options := filepath.Join(t.TempDir(), "options.env")
	if err := os.WriteFile(options, []byte("A=option\nB=option\nC=option\nD=option"), 0o666); err != nil {
		t.Fatal(err)
	}
	s := one(t, "id: a\nimage: i\ncmd: [x]\nenvFile: vars.env\nenv: {B: env, E: env}", Options{EnvFile: options})
	want := map[string]string{"A": "file", "B": "env", "C": "option", "D": "option", "E": "env"}
	if !reflect.DeepEqual(s.Spec.Env, want) {
		t.Error(s.Spec.Env)
	}
}

func TestOrderAndSkips(t *testing.T) {
	lookup := func(name string) (string, bool) { return "1", name == "YES" }
	p, err := load(t, "p.yaml", `
id: p
steps:
  - {id: last, image: i, cmd: [x], inputs: [{step: opt, optional: true}, {step: first}, {step: nowhere, optional: true}]}
  - {id: opt, image: i, cmd: [x], if: env.NO, inputs: [{step: first}]}
  - {id: after, image: i, cmd: [x], inputs: [{step: opt}]}
  - {id: later, image: i, cmd: [x], if: false, inputs: [{step: after, copyToOutput: true}, {step: first, optional: true}]}
  - {id: first, image: i, cmd: [x], if: env.YES == 1}
  - {id: off, image: i, cmd: [x], if: false, mounts: [{host: none, container: /m}], envFile: none.env}
  - {id: on, image: i, cmd: [x], if: true, inputs: [{step: off, optional: true}, {step: last, optional: true, copyToOutput: true}]}
`, Options{Lookup: lookup})
	if err != nil {
		t.Fatal(err)
	}
	type short struct {
		id, skipped string
		inputs      []Input
	}
	var got []short
	for _, s := range p.Steps {
		got = append(got, short{s.ID, s.Skipped, s.Inputs})
	}
	want := []short{
		{"first", "", []Input{}},
		{"opt", ByCondition, []Input{{Step: "first"}}},
		{"last", "", []Input{{Step: "first"}}},
		{"after", ByDependency, []Input{{Step: "opt"}}},
		{"later", ByDependency, []Input{{Step: "after", Copy: true}, {Step: "first", Optional: true}}},
		{"off", ByCondition, []Input{}},
		{"on", "", []Input{{Step: "last", Optional: true, Copy: true}}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

// Aliases stand for what they are of; quoted and block texts are texts.
func TestYAMLForms(t *testing.T) {
	p, err := load(t, "p.yaml", `---
id: &id p
steps:
  - {id: a, image: &image i, cmd: &cmd [x, "5", '6', 0x1F, 0o17, ~x], env: &env {A: 1}}
  - {id: b, image: *image, cmd: *cmd, env: *env}
  - id: *id
    image: !!str 5
    cmd:
    - |
      a
      b
    - >-
      c
      d
`, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(p.Steps[1].Spec.Cmd, []string{"x", "5", "6", "31", "15", "~x"}) || !reflect.DeepEqual(p.Steps[1].Spec.Env, p.Steps[0].Spec.Env) {
		t.Errorf("%+v", p.Steps[1].Spec)
	}
	if s := p.Steps[2].Spec; s.Step != "p" || s.Image != "5" || !reflect.DeepEqual(s.Cmd, []string{"a\nb\n", "c d"}) {
		t.Errorf("%+v", s)
	}
}

func TestJSON(t *testing.T) {
	p, err := load(t, "p.json", "{\"id\": \"p\",\n\t\"steps\": [\n\t\t{\"id\": \"a\", \"image\": \"i\", \"cmd\": [\"\\ud83d\\ude00\\/\", 3.10, true, \"null\"], \"timeoutSec\": 1e1, \"env\": {\"A\": \"5\"}, \"name\": null}\n]}\n", Options{})
	if err != nil || !reflect.DeepEqual(p.Steps[0].Spec.Cmd, []string{"😀/", "3.1", "true", "null"}) || p.Steps[0].Spec.Timeout != step.Duration(10*time.Second) {
		t.Errorf("%+v, %v", p, err)
	}
}

// What a step of a pipeline is, pipex-prepare --spec reads.
func TestWrite(t *testing.T) {
	text := `id: p
steps:
  - {id: b, image: 'i:1', cmd: [x], inputs: [{step: a}, {step: c, copyToOutput: true}, {step: all, optional: true}, {step: all, optional: true, copyToOutput: true}], retries: 2, retryDelayMs: 500, allowFailure: true}
  - {id: a, image: '$(shell x)', cmd: [x], mounts: [{host: src, container: /m}, {host: src/a, container: /n}], sources: [{host: src, container: /s}]}
  - {id: c, image: i, cmd: [x], if: false}
  - {id: all, image: i, cmd: [x], mounts: [{host: 'a b', container: /m}]}
`
	t.Chdir(t.TempDir())
	for _, err := range []error{os.MkdirAll("src/a", 0o777), os.Mkdir("a b", 0o777), os.Mkdir("out", 0o777)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile("p.yaml", []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		p, err := Load("p.yaml", Options{})
		if err == nil {
			err = p.Write("out")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	text = strings.Replace(text, "{step: all, optional: true}, ", "", 1)
	write(strings.Replace(text, "if: false", "if: true", 1))
	if _, err := os.Stat("out/c.json"); err != nil {
		t.Fatal(err)
	}
	text = strings.Replace(text, "step: c, copyToOutput: true", "step: d, copyToOutput: true", 1) + "  - {id: d, image: i, cmd: [x]}\n"
	write(text)
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
	f.Add(steps("id: b\nuses: \"@org/kit\"\nwith: &a {a: [*a], b: 0x1F}\ndescription: d\nx-y: {<<: 1}\nmounts: [{host: ../../x/, container: /c//}]"))
	f.Fuzz(func(t *testing.T, text string) {
		root, err := parse("p.yaml", []byte(text))
		if err != nil || root == nil {
			return
		}
		b := &builder{reader: &reader{file: "p.yaml", dir: "/nowhere", root: "/nowhere", lookup: os.LookupEnv, kits: &kits.Runner{Dir: "/nowhere"}}, network: step.NetworkHost}
		p, err := b.pipeline(root, "")
		if err == nil && len(p.Steps) == 0 {
			t.Error("no error, and no steps")
		}
	})
}
