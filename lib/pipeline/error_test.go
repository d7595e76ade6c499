package pipeline

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pipex/lib/name"
)

// load has a pipeline read from a file of its own directory, in which there are
// src/, src/a and vars.env.
func load(t *testing.T, file, text string, opt Options) (*Pipeline, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, err := range []error{
		os.MkdirAll("src", 0o777), os.WriteFile("src/a", nil, 0o666), os.WriteFile("vars.env", []byte("A=file\nB=file\n"), 0o666), os.WriteFile(file, []byte(text), 0o666),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return Load(file, opt)
}

// steps is a pipeline of steps, each of which begins at line 3 or later.
func steps(list ...string) string {
	text := "id: p\nsteps:\n"
	for _, s := range list {
		text += "  - " + strings.ReplaceAll(s, "\n", "\n    ") + "\n"
	}
	return text
}

const raw = "id: a\nimage: i\ncmd: [x]\n"

func TestErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		// the file
		{"", "p.yaml:1: the file is empty"},
		{"# nothing\n", "p.yaml:1: the file is empty"},
		{"null", "p.yaml:1: pipeline: a mapping is wanted, not nothing"},
		{"[a]", "p.yaml:1: pipeline: a mapping is wanted, not a list"},
		{"id: p\nsteps: [\n", "p.yaml:2: did not find expected node content"},
		{"id: p\n\tx: 1\n", "p.yaml:2: found a tab character"},
		{steps(raw) + "---\nid: q\n", "p.yaml:7: a second document"},
		{"id: p\nsteps: *none\n", "p.yaml:2: unknown anchor 'none' referenced"},
		{"id: p\nsteps:\n  - id: a\n    image: i\n    cmd: [x]\n   env: {}\n", "p.yaml:6: did not find expected '-' indicator"},
		{"id: p\nsteps:\n  - id: a\n    cmd: [x,\n      y\n    image: i\n", "p.yaml:4: did not find expected ',' or ']'"},
		{"id: p\nsteps:\n  - {id: a, image: i\n  - {id: b}\n", "p.yaml:3: did not find expected ',' or '}'"},
		{"id: p\nname: \"open\nsteps: []\n", "p.yaml:2: found unexpected end of stream"},
		{"id: p\nname: a: b\nsteps: []\n", "p.yaml:2: mapping values are not allowed in this context"},
		{"id: p\n\nsteps:\n  - id: a\n    uses: @org/kit\n", "p.yaml:5: found character that cannot start any token; put the value in quotes"},
		{"id: p\nsteps: []\nname: \"\\q\"\n", "p.yaml:3: found unknown escape character"},
		{"id: p\nname: a\x01b\nsteps: []\n", "p.yaml:2: control characters are not allowed"},
		{"id: p\nsteps: []\nname: \xff\n", "p.yaml:3: "},
		{"id: p\nsteps: &a\n  - *a\n", "p.yaml:2: step: a mapping is wanted"},

		// the pipeline
		{"steps:\n - {id: a, image: i, cmd: [x]}", "p.yaml:1: pipeline: it has neither an id nor a name"},
		{"id: p", "p.yaml:1: pipeline: steps is missing"},
		{"id: p\nsteps: []", "p.yaml:2: pipeline: there are no steps"},
		{"id: p\nsteps: {}", "p.yaml:2: steps: a list is wanted, not a mapping"},
		{"id: p\nsteps: 1", "p.yaml:2: steps: a list is wanted, not 1"},
		{"id: ../../evil\nsteps: []", `p.yaml:1: invalid workspace name "../../evil"`},
		{"id: -p\nsteps: []", `p.yaml:1: invalid workspace name "-p"`},
		{"id: 5\nsteps: []", `p.yaml:1: id: a text in quotes is wanted, not 5`},
		{"id: [p]\nsteps: []", `p.yaml:1: id: a text is wanted, not a list`},
		{"id: !x p\nsteps: []", `p.yaml:1: id: a text is wanted, not !x "p"`},
		{"name: 日本\nsteps: []", `p.yaml:1: pipeline: cannot make an id of the name "日本"; give it an id`},
		{"name: " + strings.Repeat("n", 129) + "\nsteps: []", `p.yaml:1: pipeline: cannot make an id of the name: invalid workspace name`},
		{"id: p\nstep: []\nsteps: []", `p.yaml:2: pipeline: unknown key "step"; is it steps?`},
		{"id: p\nversion: 2\nsteps: []", `p.yaml:2: pipeline: unknown key "version"; known are id, name, description, steps`},
		{"id: p\nid: q\nsteps: []", `p.yaml:2: pipeline: the key "id" is there twice`},
		{"id: p\n<<: {}\nsteps: []", `p.yaml:2: pipeline: unknown key "<<"`},
		{"id: p\n[a]: b\nsteps: []", `p.yaml:2: pipeline: a key is a list`},

		// a step
		{steps("image: i\ncmd: [x]"), "p.yaml:3: step: it has neither an id nor a name"},
		{steps("x"), `p.yaml:3: step: a mapping is wanted, not "x"`},
		{steps(""), `p.yaml:3: step: a mapping is wanted, not nothing`},
		{steps("id: a/b\nimage: i\ncmd: [x]"), `p.yaml:3: invalid step name "a/b"`},
		{steps("name: '!!'\nimage: i\ncmd: [x]"), `p.yaml:3: step: cannot make an id of the name "!!"`},
		{steps(raw, raw), `p.yaml:7: step "a": line 3 has a step of this id already`},
		{steps("id: a\ncmd: [x]"), "p.yaml:3: step: image is missing"},
		{steps("id: a\nimage: i"), "p.yaml:3: step: cmd is missing"},
		{steps("id: a\nimage: ''\ncmd: [x]"), "p.yaml:4: image is empty"},
		{steps("id: a\nimage: i\ncmd: []"), "p.yaml:5: step: cmd is empty"},
		{steps("id: a\nimage: i\ncmd: true"), "p.yaml:5: cmd: a list is wanted, not true"},
		{steps("id: a\nimage: i\ncmd: [a, [b]]"), "p.yaml:5: cmd: a text is wanted, not a list"},
		{steps("id: a\nimage: i\ncmd: [a,\n  null]"), "p.yaml:6: cmd: a text is wanted, not nothing"},
		{steps("id: a\nimage: i\ncmd: ['']"), `p.yaml:3: step "a": the command is empty`},
		{steps(raw + "comand: [x]"), `p.yaml:6: step: unknown key "comand"`},
		{steps(raw + "input: []"), `p.yaml:6: step: unknown key "input"; is it inputs?`},
		{steps(raw + "timeoutsec: 5"), `p.yaml:6: step: unknown key "timeoutsec"; is it timeoutSec?`},
		{steps(raw + "allowNetwork: 'yes'"), `p.yaml:6: allowNetwork: true or false is wanted, not "yes"`},
		{steps(raw + "allowFailure: yes"), `p.yaml:6: allowFailure: true or false is wanted, not "yes"`},
		{steps(raw + "retries: -1"), "p.yaml:6: retries: a number, 0 or more, is wanted, not -1"},
		{steps(raw + "retries: 1.5"), "p.yaml:6: retries: a whole number is wanted, not 1.5"},
		{steps(raw + "retries: '2'"), `p.yaml:6: retries: a number, 0 or more, is wanted, not "2"`},
		{steps(raw + "retryDelayMs: soon"), `p.yaml:6: retryDelayMs: a number, 0 or more, is wanted, not "soon"`},
		{steps(raw + "timeoutSec: -1"), "p.yaml:6: timeoutSec: a number, 0 or more, is wanted, not -1"},
		{steps(raw + "timeoutSec: .inf"), `p.yaml:6: timeoutSec: a number, 0 or more, is wanted, not ".inf"`},
		{steps(raw + "timeoutSec: 1e300"), "p.yaml:6: timeoutSec: a shorter time is wanted, not 1e300"},
		{steps(raw + "outputPath: out"), `p.yaml:6: outputPath: "out" is not absolute and clean, such as "/out"`},
		{steps(raw + "outputPath: /proc/x"), `p.yaml:3: step "a": the output cannot be at "/proc/x"`},
		{steps(raw + "if: env.A =="), `p.yaml:6: if: cannot read "env.A ==": column 9: a value is wanted at the end`},
		{steps(raw + "if: 5"), `p.yaml:6: if: a condition is wanted, not 5`},
		{steps(raw + "if: []"), `p.yaml:6: if: a condition is wanted, not a list`},
		{steps(raw + "if: ''"), `p.yaml:6: if: cannot read ""`},

		// variables
		{steps(raw + "env: [A]"), "p.yaml:6: env: a mapping is wanted, not a list"},
		{steps(raw + "env:\n  A:"), `p.yaml:7: env: A has no value; write "" for an empty one`},
		{steps(raw + "env:\n  A: {}"), `p.yaml:7: env: A: a text is wanted, not a mapping`},
		{steps(raw + "env:\n  A: 1\n  A: 2"), `p.yaml:8: env: the key "A" is there twice`},
		{steps(raw + "env: {A=B: x}"), `p.yaml:3: step "a": invalid environment variable name "A=B"`},
		{steps(raw + "envFile: none.env"), `p.yaml:6: envFile: cannot use "none.env": no such file or directory`},
		{steps(raw + "envFile: /etc/passwd"), `p.yaml:6: envFile: "/etc/passwd" is absolute`},
		{steps(raw + "envFile: src"), `p.yaml:6: envFile: cannot use "src": is a directory`},

		// inputs
		{steps(raw + "inputs: [b]"), `p.yaml:6: input: a mapping is wanted, not "b"`},
		{steps(raw + "inputs: [{}]"), `p.yaml:6: input: step is missing`},
		{steps(raw + "inputs: [{step: ../b}]"), `p.yaml:6: invalid step name "../b"`},
		{steps(raw + "inputs: [{step: b, as: c}]"), `p.yaml:6: input: unknown key "as"`},
		{steps(raw + "inputs: [{step: b, optionnal: true}]"), `p.yaml:6: input: unknown key "optionnal"; is it optional?`},
		{steps(raw + "inputs: [{step: b, optional: 1}]"), `p.yaml:6: optional: true or false is wanted, not 1`},
		{steps("id: extract\nimage: i\ncmd: [x]", raw+"inputs:\n - step: extrct"), `p.yaml:10: step "a": no step "extrct" to be an input; is it extract?`},
		{steps(raw + "inputs: [{step: a}]"), `p.yaml:3: the steps need each other: a -> a;`},
		{steps(raw+"inputs: [{step: c, optional: true}]", "id: b\nimage: i\ncmd: [x]\ninputs: [{step: a}]", "id: c\nimage: i\ncmd: [x]\ninputs: [{step: b}]"),
			`p.yaml:3: the steps need each other: a -> c -> b -> a;`},
		{steps("id: b\nimage: i\ncmd: [x]", raw+"inputs: [{step: b}, {step: b}]"), `p.yaml:6: step "a": input b and input b are both at "/input/b"`},

		// host paths and caches
		{steps(raw + "mounts: [{host: src}]"), "p.yaml:6: mount: container is missing"},
		{steps(raw + "mounts:\n  - container: /c"), "p.yaml:7: mount: host is missing"},
		{steps(raw + "mounts: [{host: src, container: c}]"), `p.yaml:6: container: "c" is not absolute and clean, such as "/c"`},
		{steps(raw + "mounts: [{host: src, container: /c//d/}]"), `p.yaml:6: container: "/c//d" is not absolute and clean, such as "/c/d"`},
		{steps(raw + "mounts: [{host: src, container: /c/../d}]"), `p.yaml:6: container: "/c/../d" is not absolute and clean`},
		{steps(raw + "mounts: [{host: src, container: /c, readonly: true}]"), `p.yaml:6: mount: unknown key "readonly"`},
		{steps(raw + "mounts: [{host: /etc, container: /c}]"), `p.yaml:6: host: "/etc" is absolute`},
		{steps(raw + "mounts: [{host: ../x, container: /c}]"), `p.yaml:6: host: "../x" leaves the project's directory "/`},
		{steps(raw + "mounts: [{host: src/../../x, container: /c}]"), `p.yaml:6: host: "src/../../x" leaves the project's`},
		{steps(raw + "mounts: [{host: none, container: /c}]"), `p.yaml:6: host: cannot use "none": no such file or directory`},
		{steps(raw + "sources: [{host: src/a/b, container: /c}]"), `p.yaml:6: host: cannot use "src/a/b": not a directory`},
		{steps(raw + "sources: [{host: src, container: /c}]\nmounts: [{host: src, container: /c}]"), `p.yaml:3: step "a": mount `},
		{steps(raw + "caches: [{name: c}]"), "p.yaml:6: cache: path is missing"},
		{steps(raw + "caches: [{name: a/b, path: /c}]"), `p.yaml:6: invalid cache name "a/b"`},
		{steps(raw + "caches: [{name: c, path: c}]"), `p.yaml:6: path: "c" is not absolute and clean`},
		{steps(raw + "caches: [{name: c, path: /c, exclusiv: true}]"), `p.yaml:6: cache: unknown key "exclusiv"; is it exclusive?`},
		{steps(raw + "caches: {name: c}"), `p.yaml:6: caches: a list is wanted, not a mapping`},

		// setup and kits
		{steps(raw + "setup: [x]"), `p.yaml:6: setup: a mapping is wanted, not a list`},
		{steps(raw + "setup: {}"), `p.yaml:6: setup: cmd is missing`},
		{steps(raw + "setup:\n  cmd: []"), `p.yaml:7: setup: cmd is empty`},
		{steps(raw + "setup: {cmd: [x], network: host}"), `p.yaml:6: setup: unknown key "network"; known are cmd, caches, allowNetwork`},
		{steps(raw + "setup: {cmd: [x], caches: [{path: /c}]}"), `p.yaml:6: cache: name is missing`},
		{steps(raw + "with: {run: x}"), `p.yaml:6: with: it is for a kit, and there is no uses`},
		{steps("id: a\nuses: shell\nwith: {run: x}\nimage: i\ncmd: [x]"), "p.yaml:6: image: the step uses a kit, which has its own\np.yaml:7: cmd: the step uses"},
		{steps("id: a\nuses: shel"), `p.yaml:4: uses: unknown kit "shel"; is it shell?`},
		{steps("id: a\nuses: rust"), `p.yaml:4: uses: unknown kit "rust"; known are node, python, shell`},
		{steps("id: a\nuses: [shell]"), `p.yaml:4: uses: a text is wanted, not a list`},
		{steps("id: a\nuses: shell"), `p.yaml:4: kit "shell": run is missing`},
		{steps("id: a\nuses: shell\nwith: x"), `p.yaml:5: with: a mapping is wanted, not "x"`},
		{steps("id: a\nuses: shell\nwith: {run: 5}"), `p.yaml:5: run: a text in quotes is wanted, not 5`},
		{steps("id: a\nuses: shell\nwith: {run: ''}"), `p.yaml:5: run is empty`},
		{steps("id: a\nuses: shell\nwith:\n  run: x\n  package: [y]"), `p.yaml:7: with: unknown key "package"; is it packages?`},
		{steps("id: a\nuses: shell\nwith: {run: x, packages: y}"), `p.yaml:5: packages: a list is wanted, not "y"`},
		{steps("id: a\nuses: shell\nwith: {run: x, src: none}"), `p.yaml:5: src: cannot use "none"`},
		{steps("id: a\nuses: node\nwith: {version: 22}"), `p.yaml:5: kit "node": script or run is missing`},
		{steps("id: a\nuses: node"), `p.yaml:4: kit "node": script or run is missing`},
		{steps("id: a\nuses: node\nwith: {script: x, run: y}"), `p.yaml:5: kit "node": script and run exclude each other`},
		{steps("id: a\nuses: node\nwith: {run: y, packageManager: bun}"), `p.yaml:5: kit "node": unknown packageManager "bun"; known are npm, pnpm, yarn`},
		{steps("id: a\nuses: python\nwith: {run: y, packageManager: vu}"), `p.yaml:5: kit "python": unknown packageManager "vu"`},
		{steps("id: a\nuses: python\nwith: {run: y, install: 0}"), `p.yaml:5: install: true or false is wanted, not 0`},
	} {
		_, err := load(t, "p.yaml", c.text, Options{})
		var usage *name.UsageError
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || !errors.As(err, &usage) {
			t.Errorf("%s\nis: %v\nnot: %s", c.text, err, c.want)
		}
	}
}

// All of them are told, in order.
func TestManyErrors(t *testing.T) {
	_, err := load(t, "p.yaml", "name: ''\nsteps:\n  - id: a\n    image: [x]\n    cmd: [x]\n  - imge: i\n    id: /\n", Options{})
	want := "p.yaml:1: name is empty\np.yaml:4: image: a text is wanted, not a list\np.yaml:6: step: image is missing\np.yaml:6: step: cmd is missing\n" +
		"p.yaml:6: step: unknown key \"imge\"; is it image?\np.yaml:7: invalid step name \"/\": 1 to 128 of A-Z a-z 0-9 _ -, not starting with -"
	lines := func(s string) int { return strings.Count(s, "\n") }
	if err == nil || lines(err.Error()) != lines(want) {
		t.Errorf("%v", err)
	}
	for _, line := range strings.Split(want, "\n") {
		if !strings.Contains(err.Error(), line) {
			t.Errorf("%v\nhas no %s", err, line)
		}
	}
}

func TestJSONErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "p.json:1: no JSON: the file ends too early"},
		{"{\n\"id\": \"p\",\n", "p.json:3: no JSON: the file ends too early"},
		{"{\n\"id\": p}", "p.json:2: no JSON: invalid character 'p'"},
		{"{\n\"id\": \"p\",\n}", "p.json:3: no JSON: invalid character '}'"},
		{"id: p\nsteps: []", "p.json:1: no JSON: invalid character 'i'"},
		{"{} {}", "p.json:1: no JSON: more than one value"},
		{"{}\n}", "p.json:2: no JSON: invalid character '}'"},
		{"[]", "p.json:1: pipeline: a mapping is wanted, not a list"},
		{"{\"id\": \"p\",\n\t\"id\": \"q\", \"steps\": []}", "p.json:2: pipeline: the key \"id\" is there twice"},
		{"{\"id\": \"p\",\n\t\"steps\": [\n\t{\"id\": \"a\", \"image\": \"i\", \"cmd\": [\"x\"],\n\t\"retries\": \"2\"}]}", "p.json:4: retries: a number, 0 or more, is wanted, not \"2\""},
	} {
		_, err := load(t, "p.json", c.text, Options{})
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s\nis: %v\nnot: %s", c.text, err, c.want)
		}
	}
}

// What is not the file's fault is another error.
func TestOtherErrors(t *testing.T) {
	good := steps(raw)
	_, err := load(t, "p.yaml", good, Options{Workspace: "../x"})
	if err == nil || !strings.HasPrefix(err.Error(), `invalid workspace name "../x"`) {
		t.Error(err)
	}
	_, err = load(t, "p.yaml", good, Options{EnvFile: "none"})
	if err == nil || err.Error() != `cannot read the env file: open none: no such file or directory` {
		t.Error(err)
	}
	for path, want := range map[string]string{
		"none": `cannot read pipeline "none": no such file or directory`,
		"src":  `cannot find a pipeline in "src": no pipeline.yml, pipeline.yaml or pipeline.json`,
	} {
		_, err := Load(path, Options{})
		var all Errors
		if err == nil || err.Error() != want || errors.As(err, &all) {
			t.Errorf("%s: %v", path, err)
		}
	}
	dir := t.TempDir()
	for _, name := range []string{"pipeline.json", "pipeline.yaml", "pipeline.yml"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("["), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir, Options{}); err == nil || !strings.HasPrefix(err.Error(), filepath.Join(dir, name)+":1: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
