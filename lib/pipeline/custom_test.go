package pipeline

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// project makes a directory with files, by path, in which it goes. JavaScript in it is of modules.
func project(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	files["package.json"] = `{"type": "module"}`
	for path, text := range files {
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const echo = `export default p => ({image: 'echo:1', cmd: ['echo', p.msg ?? 'none']})`

// kitStep is the spec of a step that uses a kit, as JSON.
func kitStep(t *testing.T, text string) (string, error) {
	t.Helper()
	if err := os.WriteFile("p.yaml", []byte(steps(text)), 0o666); err != nil {
		t.Fatal(err)
	}
	p, err := Load("p.yaml", Options{})
	if err != nil {
		return "", err
	}
	data, err := json.Marshal(p.Steps[0].Spec)
	here, _ := os.Getwd()
	return strings.ReplaceAll(string(data), here, "HERE"), err
}

// Where a kit is looked for, the first place first.
func TestKitPlaces(t *testing.T) {
	kit := func(image string) string { return "export default () => ({image: '" + image + "', cmd: ['x']})" }
	project(t, map[string]string{
		".tylt.yml":                           "kits:\n  aliased: ./other/a.js\n  shadow: ./other/a.js\n  packed: \"@org/kits/sub\"\nx-note: any\n",
		"other/a.js":                          kit("alias"),
		"kits/shadow.js":                      kit("wrong"),
		"kits/dual.js":                        kit("wrong"),
		"kits/dual/index.js":                  kit("directory"),
		"kits/flat.js":                        kit("flat"),
		"kits/shell.js":                       kit("own-shell"),
		"kits/@org/local.js":                  kit("scoped"),
		"node_modules/@org/kits/package.json": `{"name": "@org/kits", "type": "module", "exports": {".": "./main.js", "./sub": "./sub/index.js"}}`,
		"node_modules/@org/kits/main.js":      kit("package"),
		"node_modules/@org/kits/sub/index.js": kit("subpath"),
	})
	for uses, image := range map[string]string{
		"aliased": "alias", "shadow": "alias", "packed": "subpath", "dual": "directory", "flat": "flat", "shell": "own-shell", "'@org/local'": "scoped",
		"'@org/kits'": "package", "'@org/kits/sub'": "subpath", "./other/a.js": "alias",
	} {
		got, err := kitStep(t, "id: a\nuses: "+uses)
		if err != nil || !strings.Contains(got, `"image":"`+image+`"`) {
			t.Errorf("%s: %s, %v", uses, got, err)
		}
	}
}

func TestKitAnswers(t *testing.T) {
	project(t, map[string]string{
		"src/f": "", "p/f": "", "kits/t/data": "", "kits/t/index.js": `
export default async (params, {kitDir, resolveKit}) => {
  const r = {image: 'i', cmd: ['x', params.n, true]}
  switch (params.what) {
  case 'all': return {...r, setup: {cmd: ['s'], caches: [{name: 'c', path: '/c', exclusive: true}], allowNetwork: true}, env: {A: 1, B: 'kit'},
      caches: [{name: 'k', path: '/k'}], mounts: [{host: 'src', container: '/m'}], sources: [{host: kitDir, container: '/app/'}], allowNetwork: true}
  case 'dir': return {...r, cmd: [kitDir]}
  case 'undefined': return {...r, mounts: undefined, env: null}
  case 'python': {
    const python = await resolveKit('python')
    const base = await python.resolve({version: '3.12', install: true})
    return {...base, cmd: ['python', '/app/loader.py'], sources: [...(base.sources ?? []), {host: kitDir, container: '/app'}]}
  }
  case 'shell': {
    const base = (await resolveKit('shell')).resolve({run: 'x', packages: ['p'], src: 'src'})
    return {...base, cmd: ['chained']}
  }
  case 'other': return (await resolveKit('echo')).resolve({msg: 'from t'})
  case 'printing': console.log('to stdout'); console.error('to stderr'); return r
  }
}`,
		"kits/echo.js": echo,
	})
	for text, want := range map[string]string{
		"uses: t\nwith: {what: undefined, n: 3.10}": `{"step":"a","name":"a","image":"i","cmd":["x","3.1","true"],"network":"none"}`,
		"uses: t\nwith: {what: dir}":                `{"step":"a","name":"a","image":"i","cmd":["HERE/kits/t"],"network":"none"}`,
		"uses: t\nwith: {what: all, n: é}\nenv: {B: own}\ncaches: [{name: k, path: /other}, {name: l, path: /l}]\nmounts: [{host: p, container: /n/}]": `{"step":"a","name":"a","image":"i","cmd":["x","é","true"],"entrypoint":[],` +
			`"env":{"A":"1","B":"own"},"network":"host","setup":{"cmd":["s"],"network":"host","caches":[{"name":"c","path":"/c","exclusive":true}]},"mounts":[{"host":"HERE/src","path":"/m"},` +
			`{"host":"HERE/p","path":"/n"}],"sources":[{"host":"HERE/kits/t","path":"/app"}],"caches":[{"name":"k","path":"/other"},{"name":"l","path":"/l"}]}`,
		"uses: t\nwith: {what: all, n: 1}\nallowNetwork: false\nsetup: {cmd: [own]}": `"setup":{"cmd":["own"],"network":"host","caches":[{"name":"c",`,
		"uses: t\nwith: {what: python}":                                              `"image":"python:3.12-slim","cmd":["python","/app/loader.py"],`,
		"uses: t\nwith:\n  what: python":                                             `"sources":[{"host":"HERE/kits/t","path":"/app"}]`,
		"uses: t\nwith: {what: shell}":                                               `"image":"debian:bookworm-slim","cmd":["chained"],`,
		"uses: t\nwith:\n  what: shell":                                              `"capAdd":["SETUID","SETGID"],`,
		"uses: t\nwith: \n  what: shell":                                             `"mounts":[{"host":"HERE/src","path":"/app"}]`,
		"uses: t\nwith: {what: other}":                                               `"image":"echo:1","cmd":["echo","from t"]`,
		"uses: echo":                                                                 `"cmd":["echo","none"]`,
		"uses: echo\nwith: {msg: '$A \"x\"\\n'}":                                     `"cmd":["echo","$A \"x\"\\n"]`,
	} {
		got, err := kitStep(t, "id: a\n"+text)
		if err != nil || !strings.Contains(got, want) {
			t.Errorf("%s\n%s, %v\nhas no %s", text, got, err, want)
		}
	}

	// What a kit prints is not its answer.
	if err := os.WriteFile("p.yaml", []byte(steps("id: a\nuses: t\nwith: {what: printing, n: 1}")), 0o666); err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	p, err := Load("p.yaml", Options{Output: &printed})
	if err != nil || p.Steps[0].Spec.Image != "i" || !strings.Contains(printed.String(), "to stdout\n") || !strings.Contains(printed.String(), "to stderr\n") {
		t.Errorf("%+v, %v; %q", p, err, &printed)
	}
}

// What is wrong with a kit stands at the line that uses it.
func TestKitErrors(t *testing.T) {
	project(t, map[string]string{
		".tylt.yml":       "kits:\n  lost: ./none.js\n  nopackage: '@org/none'\n  number: ./kits/number.js\n",
		"kits/number.js":  "export default 42",
		"kits/nothing.js": "export const a = 1",
		"kits/syntax.js":  "export default function ( {\n",
		"kits/throws.js":  "export default p => {\n  throw new Error('no ' + p.what)\n}",
		"kits/empty.js":   "export default () => {}",
		"kits/partial.js": "export default () => ({image: 'i'})",
		"kits/unknown.js": "export default () => ({image: 'i', cmd: ['x'], imgae: 1})",
		"kits/types.js":   "export default () => ({image: 5, cmd: 'x', mounts: [{host: '/etc', container: 'c'}]})",
		"kits/escapes.js": "export default () => ({image: 'i', cmd: ['x'], sources: [{host: '../x', container: '/c'}]})",
		"kits/cyclic.js":  "export default () => { const a = {}; a.a = a; return a }",
		"kits/exits.js":   "export default () => process.exit(0)",
		"kits/large.js":   "export default () => ({image: 'x'.repeat(2 << 20), cmd: ['x']})",
		"kits/chains.js":  "export default async (p, {resolveKit}) => (await resolveKit(p.kit)).resolve(p.with)",
		"kits/gone.js":    "export default () => ({image: 'i', cmd: ['x'], mounts: [{host: 'gone', container: '/c'}]})",
	})
	for uses, want := range map[string]string{
		"zzzz":                       `unknown kit "zzzz"; known are lost, node, nopackage, number, python, shell; one of your own is kits/zzzz.js`,
		"lots":                       `unknown kit "lots"; is it lost?`,
		"lost":                       `kit "lost": Cannot find module`,
		"nopackage":                  `'@org/none'`,
		"number":                     `kit "number": it must export a default function, and that is number`,
		"nothing":                    `kit "nothing": it must export a default function, and that is undefined`,
		"syntax":                     `/kits/syntax.js:2: `,
		"throws\nwith: {what: luck}": `kits/throws.js:2: no luck`,
		"empty":                      `kit "empty": it returned undefined, and no object`,
		"partial":                    `what kit "partial" returned: kit: cmd is missing`,
		"unknown":                    `what kit "unknown" returned: kit: unknown key "imgae"; is it image?`,
		"types":                      `returned: image: a text in quotes is wanted, not 5`,
		"escapes":                    `returned: host: "../x" leaves the project's directory`,
		"cyclic":                     `kit "cyclic": `,
		"exits":                      `kit "exits": node ended without an answer`,
		"large":                      `kit "large": its answer has more than 1 MiB`,
		"chains\nwith: {kit: shel}":  `unknown kit "shel"`,
		"chains\nwith: {kit: shell, with: {run: 5}}":   `run: a text in quotes is wanted, not 5`,
		"chains\nwith: {kit: throws, with: {what: x}}": `kits/throws.js:2: no x`,
		"gone":                     `host: cannot use "gone": no such file or directory`,
		"../kits/../../x.js":       `Cannot find module`,
		"number\nwith: [x]":        `a mapping is wanted, not a list`,
		"number\nwith: &a {a: *a}": `more than 10000 values`,
	} {
		_, err := kitStep(t, "id: a\nuses: "+uses)
		if err == nil || !strings.HasPrefix(err.Error(), "p.yaml:") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n%v\nnot %s", uses, err, want)
		}
	}

	// Without node only kits that are JavaScript fail.
	t.Setenv("PATH", t.TempDir())
	if _, err := kitStep(t, "id: a\nuses: throws"); err == nil || err.Error() != `p.yaml:4: uses: kit "throws": it is JavaScript, and there is no node on PATH; install Node.js 20.19 or later` {
		t.Error(err)
	}
	if _, err := kitStep(t, "id: a\nuses: shell\nwith: {run: x}"); err != nil {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "",
		"# nothing\n":                      "",
		"detach: true\n":                   "",
		"kits: {a: ./a.js}\nx-more: [1]\n": "",
		"kits:\n  a: @org/a\n":             `.tylt.yml:2: found character that cannot start any token; put the value in quotes`,
		":\n  - :\n    bad: [":             `.tylt.yml:1: `,
		"kit: {}\n":                        `.tylt.yml:1: configuration: unknown key "kit"; is it kits?`,
		"detach: yes\n":                    `.tylt.yml:1: detach: true or false is wanted, not "yes"`,
		"detach: false\nkits:\n  a: [b]\n": `.tylt.yml:3: a: a text is wanted, not a list`,
		"kits: [a]\n":                      `.tylt.yml:1: kits: a mapping is wanted, not a list`,
		"[a]":                              `.tylt.yml:1: configuration: a mapping is wanted`,
	} {
		project(t, map[string]string{".tylt.yml": text})
		_, err := kitStep(t, raw)
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%q: %v, not %s", text, err, want)
		}
	}
	project(t, map[string]string{".tylt.yml": "detach: true", "p.yaml": steps(raw)})
	if p, err := Load("p.yaml", Options{}); err != nil || !p.Detach {
		t.Error(p, err)
	}
	if err := os.WriteFile(".pipex.yml", nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Load("p.yaml", Options{}); err == nil || !strings.Contains(err.Error(), `cannot use both ".pipex.yml" and ".tylt.yml"`) {
		t.Error(err)
	}
}

// Host paths may go up as far as the directory in which pipex-run starts.
func TestProjectDirectory(t *testing.T) {
	dir := project(t, map[string]string{"scripts/x": "", "pipes/p.yaml": steps("id: a\nimage: i\ncmd: [x]\nmounts: [{host: ../scripts/, container: /s/}, {host: .., container: /all}]"),
		"pipes/out.yaml": steps("id: a\nimage: i\ncmd: [x]\nmounts: [{host: ../../scripts, container: /s}]"), "pipes/.tylt.yml": "bad: 1"})
	p, err := Load("pipes/p.yaml", Options{})
	if err != nil || p.Steps[0].Spec.Mounts[0].Host != filepath.Join(dir, "scripts") || p.Steps[0].Spec.Mounts[0].Path != "/s" || p.Steps[0].Spec.Mounts[1].Host != dir {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := Load("pipes/out.yaml", Options{}); err == nil || !strings.Contains(err.Error(), `leaves the project's directory "`+dir+`"`) {
		t.Error(err)
	}
	t.Chdir("scripts") // the project is the pipeline's own directory then
	if _, err := Load("../pipes/p.yaml", Options{}); err == nil || !strings.HasPrefix(err.Error(), "../pipes/.tylt.yml:1: configuration: unknown key") {
		t.Error(err)
	}
}

func TestLoadStep(t *testing.T) {
	project(t, map[string]string{
		"s.yaml": "id: own\nname: Own\nimage: i\ncmd: [x]\nif: env.NO\ninputs: [{step: a, optional: true}]\nretries: 2\n", "none.yaml": "image: i\ncmd: [x]\n", "bad.yaml": "id: a\nimage: i\ncmd: [x]\nimg: 1\n",
	})
	s, err := LoadStep("s.yaml", "", Options{})
	if err != nil || s.ID != "own" || s.Name != "Own" || s.Spec.Step != "own" || len(s.Inputs) != 1 || s.Retries != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err = LoadStep("s.yaml", "other", Options{}); err != nil || s.ID != "other" || s.Spec.Step != "other" || s.Name != "Own" {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err = LoadStep("none.yaml", "other", Options{}); err != nil || s.ID != "other" || s.Name != "other" {
		t.Errorf("%+v, %v", s, err)
	}
	for file, want := range map[string]string{
		"none.yaml": "none.yaml:1: step: it has neither an id nor a name", "bad.yaml": `bad.yaml:4: step: unknown key "img"`, "no.yaml": `cannot read pipeline "no.yaml"`,
	} {
		if _, err := LoadStep(file, "", Options{}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", file, err)
		}
	}
	if _, err := LoadStep("s.yaml", "../x", Options{}); err == nil {
		t.Error("no error")
	}
}
