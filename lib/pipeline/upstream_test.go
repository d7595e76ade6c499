package pipeline

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// These are the cases of @livingdata/pipex's own tests of what reads pipelines, as far as
// they are about files: what it accepts means the same here, what it refuses is refused.
// Where we differ on purpose the case says so; docs/pipex-pipeline.5.md has all of them.

func TestUpstreamSlugs(t *testing.T) {
	for name, want := range map[string]string{
		"Étape numéro un": "etape-numero-un", "hello world": "hello-world", "build@v2!": "build-v2", "build@v2!final": "build-v2-final", "a--b": "a-b", "-hello-": "hello",
		"Mon Pipeline": "mon-pipeline", "Première Étape": "premiere-etape",
	} {
		if got := slug(name); got != want {
			t.Errorf("%q: %q, not %q", name, got, want)
		}
	}
}

// all is a pipeline of steps as JSON.
func all(steps ...string) string { return `{"id": "p", "steps": [` + strings.Join(steps, ",") + `]}` }

func TestUpstreamLoader(t *testing.T) {
	step := func(more string) string { return `{"id": "s", "image": "alpine", "cmd": ["echo"]` + more + `}` }
	on := func(id, inputs string) string {
		return `{"id": "` + id + `", "image": "alpine", "cmd": ["echo"], "inputs": [` + inputs + `]}`
	}
	for text, want := range map[string]string{ // an error, or "" for none
		all(step("")): "",
		`{"name": "Mon Pipeline", "steps": [{"name": "Première Étape", "image": "alpine", "cmd": ["echo"]}]}`: "",
		`{"steps": [` + step("") + `]}`:             "neither an id nor a name",
		all(`{"image": "alpine", "cmd": ["echo"]}`): "neither an id nor a name",
		all():      "there are no steps",
		`{invalid`: "no JSON",
		all(`{"id": "../bad", "image": "alpine", "cmd": ["echo"]}`):                                                     "invalid step name",
		all(`{"id": "hello world", "image": "alpine", "cmd": ["echo"]}`):                                                "invalid step name",
		all(`{"id": "s", "cmd": ["echo"]}`):                                                                             "image is missing",
		all(`{"id": "s", "image": "alpine"}`):                                                                           "cmd is missing",
		all(step(""), step("")):                                                                                         "line 1 has a step of this id already",
		all(step(`, "mounts": [{"host": "/absolute", "container": "/c"}]`)):                                             "is absolute",
		all(step(`, "mounts": [{"host": "../sibling", "container": "/c"}]`)):                                            "", // inside the project
		all(step(`, "mounts": [{"host": "../../outside", "container": "/c"}]`)):                                         "leaves the project's directory",
		all(step(`, "mounts": [{"host": "src", "container": "relative"}]`)):                                             "is not absolute",
		all(step(`, "caches": [{"name": "c", "path": "relative"}]`)):                                                    "is not absolute",
		all(step(`, "caches": [{"name": "bad name!", "path": "/cache"}]`)):                                              "invalid cache name",
		all(`{"id": "b", "uses": "shell", "with": {"run": "echo hello"}}`):                                              "",
		all(step(`, "setup": {"cmd": ["sh", "-c", "install"], "caches": [{"name": "apt", "path": "/var/cache/apt"}]}`)): "",
		all(step(`, "setup": {"cmd": []}`)):                                                                             "setup: cmd is empty",
		all(step(`, "setup": {"cmd": ["sh"], "caches": [{"name": "bad name!", "path": "/cache"}]}`)):                    "invalid cache name",
		all(step(`, "setup": {"cmd": ["sh"], "caches": [{"name": "c", "path": "relative"}]}`)):                          "is not absolute",
		// the graph
		all(on("a", `{"step": "b"}`), on("b", `{"step": "a"}`)):                                                       "the steps need each other: a -> b -> a",
		all(on("a", `{"step": "missing"}`)):                                                                           `no step "missing" to be an input`,
		all(on("a", `{"step": "missing", "optional": true}`)):                                                         "",
		all(on("a", ""), on("b", `{"step": "a"}`), on("c", `{"step": "a"}`), on("d", `{"step": "b"}, {"step": "c"}`)): "",
	} {
		project(t, map[string]string{"pipes/p.json": text, "pipes/src/f": "", "sibling/f": ""})
		_, err := Load("pipes/p.json", Options{})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s\n%v\nnot: %s", text, err, want)
		}
	}
}

// Each step comes after its inputs, and a target brings what it needs.
func TestUpstreamGraph(t *testing.T) {
	step := func(id string, inputs ...string) string {
		text := "{id: " + id + ", image: i, cmd: [x], inputs: ["
		for _, in := range inputs {
			text += "{step: " + in + "}, "
		}
		return text + "]}"
	}
	linear := []string{step("c", "b"), step("b", "a"), step("a")}
	diamond := []string{step("d", "b", "c"), step("b", "a"), step("c", "a"), step("a")}
	for _, c := range []struct {
		steps   []string
		targets string
		want    string
	}{
		{linear, "", "a b c"}, {linear, "c", "a b c"}, {linear, "b", "a b"}, {linear, "a", "a"},
		{diamond, "", "a b c d"}, {diamond, "d", "a b c d"}, {diamond, "b,c", "a b c"}, {diamond, "c", "a c"},
		{[]string{step("a"), step("b")}, "", "a b"}, {[]string{step("a"), step("b")}, "b", "b"},
	} {
		p, err := load(t, "p.yaml", steps(c.steps...), Options{})
		if err == nil {
			err = p.Scope(strings.FieldsFunc(c.targets, func(r rune) bool { return r == ',' }))
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(p.Runnable(), " "); got != c.want {
			t.Errorf("%s of %v: %s, not %s", c.targets, c.steps, got, c.want)
		}
	}
}

func TestUpstreamConditions(t *testing.T) {
	for _, c := range []struct {
		condition string
		env       string
		want      bool
	}{
		{`env.CI`, "CI=true", true}, {`env.CI`, "", false},
		{`env.NODE_ENV == "production"`, "NODE_ENV=production", true}, {`env.NODE_ENV == "production"`, "NODE_ENV=development", false},
		{`env.CI && !env.STAGING`, "CI=true", true}, {`env.CI && !env.STAGING`, "CI=true STAGING=true", false}, {`env.CI && !env.STAGING`, "", false},
	} {
		s := one(t, "id: a\nimage: i\ncmd: [x]\nif: "+c.condition, Options{Lookup: func(name string) (string, bool) {
			for _, v := range strings.Fields(c.env) {
				if key, value, _ := strings.Cut(v, "="); key == name {
					return value, true
				}
			}
			return "", false
		}})
		if (s.Skipped == "") != c.want {
			t.Errorf("%s with %q: %q", c.condition, c.env, s.Skipped)
		}
	}
	// Upstream takes what it cannot read for false.
	if _, err := load(t, "p.yaml", steps(raw+"if: ')))invalid((('"), Options{}); err == nil {
		t.Error("no error")
	}
}

// What a kit has and what the step adds to it.
func TestUpstreamMerges(t *testing.T) {
	project(t, map[string]string{"a/f": "", "b/f": "", "kits/k.js": `export default p => ({image: 'i', cmd: ['x'], ...p})`})
	for text, want := range map[string]string{
		"with: {env: {A: 1}}":              `"env":{"A":"1"}`,
		"env: {B: 2}":                      `"env":{"B":"2"}`,
		"with: {env: {A: 1}}\nenv: {A: 2}": `"env":{"A":"2"}`,
		"with: {env: {A: 1}}\nenv: {B: 2}": `"env":{"A":"1","B":"2"}`,
		"with: {caches: [{name: a, path: /a}]}\ncaches: [{name: b, path: /b}]":                                            `"caches":[{"name":"a","path":"/a"},{"name":"b","path":"/b"}]`,
		"with: {caches: [{name: x, path: /kit}]}\ncaches: [{name: x, path: /user}]":                                       `"caches":[{"name":"x","path":"/user"}]`,
		"with: {mounts: [{host: a, container: /a}]}\nmounts: [{host: b, container: /b}]":                                  `"mounts":[{"host":"HERE/a","path":"/a"},{"host":"HERE/b","path":"/b"}]`,
		"with: {setup: {cmd: [k], allowNetwork: true}}":                                                                   `"setup":{"cmd":["k"],"network":"host"}`,
		"setup: {cmd: [u], allowNetwork: false}":                                                                          `"setup":{"cmd":["u"],"network":"none"}`,
		"with: {setup: {cmd: [k], caches: [{name: c, path: /c}]}}\nsetup: {cmd: [u]}":                                     `"setup":{"cmd":["u"],"network":"none","caches":[{"name":"c","path":"/c"}]}`,
		"with: {setup: {cmd: [k], caches: [{name: x, path: /kit}]}}\nsetup: {cmd: [u], caches: [{name: x, path: /user}]}": `"caches":[{"name":"x","path":"/user"}]`,
		"with: {setup: {cmd: [k], allowNetwork: true}}\nsetup: {cmd: [u], allowNetwork: false}":                           `"setup":{"cmd":["u"],"network":"none"}`,
		"with: {setup: {cmd: [k], allowNetwork: true}}\nsetup: {cmd: [u]}":                                                `"setup":{"cmd":["u"],"network":"host"}`,
		"with: {allowNetwork: true}":                                                                                      `"network":"host"`,
		"with: {allowNetwork: true}\nallowNetwork: false":                                                                 `"network":"none"`,
	} {
		got, err := kitStep(t, "id: s\nuses: k\n"+text)
		if err != nil || !strings.Contains(got, want) {
			t.Errorf("%s\n%s, %v\nhas no %s", text, got, err, want)
		}
	}
	if got, err := kitStep(t, "id: s\nuses: k"); err != nil || got != `{"step":"s","name":"s","image":"i","cmd":["x"],"network":"none"}` {
		t.Errorf("%s, %v", got, err)
	}
}

func TestUpstreamKits(t *testing.T) {
	const setup = `"setup":{"cmd":["sh","-c",`
	for text, want := range map[string][]string{
		"shell|{run: echo hello}":                                  {`"image":"alpine:3.20","cmd":["sh","-c","echo hello"]`, "-caches", "-setup", "-mounts", `"network":"none"}`},
		"shell|{run: ls, packages: []}":                            {`"image":"alpine:3.20"`, "-caches", "-setup"},
		"shell|{run: my-command, packages: [unzip, jq]}":           {`"image":"debian:bookworm-slim","cmd":["sh","-c","my-command"]`, setup, "apt-get update", "--no-install-recommends unzip jq", "rm -rf /var/lib/apt/lists/*", `"network":"none","capAdd"`, `"network":"host","caches":[{"name":"apt-cache","path":"/var/cache/apt","exclusive":true}]}}`},
		"shell|{run: ls, image: 'ubuntu:24.04'}":                   {`"image":"ubuntu:24.04"`},
		"shell|{run: ls, packages: [curl], image: 'ubuntu:24.04'}": {`"image":"ubuntu:24.04"`, setup},
		"shell|{run: ls, src: mydir}":                              {`"mounts":[{"host":"HERE/mydir","path":"/app"}]`},
		"node|{script: app.js}":                                    {`"image":"node:24-alpine","cmd":["sh","-c","node /app/app.js"]`, "-sources", setup, "cd /app \\u0026\\u0026 npm install", `"network":"none","setup"`, `"network":"host","caches":[{"name":"npm-cache","path":"/root/.npm","exclusive":true}]}}`},
		"node|{script: app.js, packageManager: pnpm}":              {"pnpm install", `[{"name":"pnpm-store","path":"/root/.local/share/pnpm/store","exclusive":true}]`},
		"node|{script: app.js, packageManager: yarn}":              {"yarn install", `[{"name":"yarn-cache","path":"/usr/local/share/.cache/yarn","exclusive":true}]`},
		"node|{script: app.js, install: false}":                    {`"cmd":["sh","-c","node /app/app.js"]`, "-setup"},
		"node|{script: app.js, src: mydir}":                        {`"sources":[{"host":"HERE/mydir","path":"/app"}]`, "-mounts"},
		"node|{run: npm run build --prefix /app}":                  {`"cmd":["sh","-c","npm run build --prefix /app"]`, setup},
		"node|{run: node --version, install: false}":               {`"cmd":["sh","-c","node --version"]`, "-setup"},
		"python|{script: main.py}":                                 {`"image":"python:3.12-slim","cmd":["sh","-c","python /app/main.py"]`, setup, "pip install", `"network":"host","caches":[{"name":"pip-cache","path":"/root/.cache/pip","exclusive":true}]}}`},
		"python|{script: main.py, packageManager: uv}":             {"uv pip install", `[{"name":"uv-cache","path":"/root/.cache/uv","exclusive":true}]`},
		"python|{script: main.py, install: false}":                 {`"cmd":["sh","-c","python /app/main.py"]`, "-setup"},
		"python|{script: main.py, src: mydir}":                     {`"mounts":[{"host":"HERE/mydir","path":"/app"}]`, "-sources"},
		"python|{run: pytest /app/tests -v}":                       {`"cmd":["sh","-c","pytest /app/tests -v"]`, setup},
		"shell|{packages: [curl]}":                                 {`!run is missing`},
		"shell|{}":                                                 {`!run is missing`},
		"node|{}":                                                  {`!script or run is missing`},
		"node|{script: app.js, run: x}":                            {`!script and run exclude each other`},
		"node|{script: app.js, packageManager: bun}":               {`!unknown packageManager "bun"`},
		"python|{}":                                    {`!script or run is missing`},
		"python|{script: a.py, run: x}":                {`!script and run exclude each other`},
		"python|{script: a.py, packageManager: conda}": {`!unknown packageManager "conda"`},
		"unknown|{}":                                   {`!unknown kit "unknown"`},
	} {
		kit, with, _ := strings.Cut(text, "|")
		project(t, map[string]string{"mydir/f": ""})
		got, err := kitStep(t, "id: s\nuses: "+kit+"\nwith: "+with)
		for _, w := range want {
			ok := err == nil && strings.Contains(got, w)
			if without, is := strings.CutPrefix(w, "-"); is {
				ok = err == nil && !strings.Contains(got, `"`+without+`"`)
			}
			if failure, is := strings.CutPrefix(w, "!"); is {
				ok = err != nil && strings.Contains(err.Error(), failure)
			}
			if !ok {
				t.Errorf("%s\n%s, %v\nnot: %s", text, got, err, w)
			}
		}
	}
}

// The file of a directory is the first of three names.
func TestUpstreamPipelineFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := find(dir); err == nil || !strings.Contains(err.Error(), "cannot find a pipeline") {
		t.Error(err)
	}
	if _, err := find(filepath.Join(dir, "none")); err == nil {
		t.Error("no error")
	}
	for _, name := range []string{"pipeline.json", "pipeline.yaml", "pipeline.yml", "custom.yaml"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o666); err != nil {
			t.Fatal(err)
		}
		path := dir
		if name == "custom.yaml" {
			path = filepath.Join(dir, name)
		}
		if got, err := find(path); err != nil || got != filepath.Join(dir, name) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

// The text formats of one pipeline mean the same.
func TestUpstreamFormats(t *testing.T) {
	var specs []string
	for file, text := range map[string]string{
		"p.json": all(`{"id": "a", "image": "i", "cmd": ["x", 1], "env": {"N": 3.10, "T": true}}`),
		"p.yaml": "id: p\nsteps: [{id: a, image: i, cmd: [x, 1], env: {N: 3.10, T: true}}]",
		"p.YML":  "id: p\nsteps:\n- id: a\n  image: i\n  cmd:\n  - x\n  - 1\n  env:\n    N: 3.1\n    T: true\n",
		"p":      all(`{"id": "a", "image": "i", "cmd": ["x", 1], "env": {"N": 3.1, "T": true}}`),
	} {
		p, err := load(t, file, text, Options{})
		if err != nil {
			t.Fatal(file, err)
		}
		data, _ := json.Marshal(p.Steps)
		specs = append(specs, string(data))
	}
	if specs = slices.Compact(specs); len(specs) != 1 {
		t.Error(specs)
	}
}
