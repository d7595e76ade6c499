package step

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"pipex/lib/tree"
)

// unknown are trees of which only the digests are known.
var unknown = Trees{
	Was:       func(string) *tree.Tree { return nil },
	Is:        func(string) *tree.Tree { return nil },
	Artifacts: func(PinnedInput) *tree.Tree { return nil },
}

// lines are the differences as people read them.
func lines(t *testing.T, was, is *Pinned, trees Trees) []string {
	t.Helper()
	var list []string
	for _, d := range Differences(was, is, trees) {
		line := d.String()
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }) || strings.HasSuffix(line, ": ") || d.What == "" || (d.Detail == "") == (d.Was == "" || d.Is == "") {
			t.Errorf("%+v is not a difference in one line", d)
		}
		list = append(list, line)
	}
	return list
}

// What is in the fingerprint is told when it differs, and nothing else is: this holds
// for each field, also for one that is added later.
func TestDifferencesAreThoseOfTheFingerprint(t *testing.T) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Pinned]()) {
		if f.Anonymous {
			continue
		}
		for _, base := range []func() *Pinned{func() *Pinned { return &Pinned{} }, full} {
			was, is := base(), base()
			change(t, reflect.ValueOf(is).Elem().FieldByIndex(f.Index))
			want := 0
			if was.Fingerprint() != is.Fingerprint() {
				want = 1
			}
			if there, back := lines(t, was, is, unknown), lines(t, is, was, unknown); len(there) != want || len(back) != want {
				t.Errorf("%s: %q, and back %q; want %d", f.Name, there, back, want)
			}
		}
	}
	for what, change := range map[string]func(*Pinned){
		"order of mounts": func(p *Pinned) { slices.Reverse(p.Mounts) },
		"where it is":     func(p *Pinned) { p.Mounts[0].HostPath, p.Inputs[0].RunID = "/elsewhere", "r" },
		"name of a step":  func(p *Pinned) { p.Inputs[0].Step = "other" },
		"image's names":   func(p *Pinned) { p.Image, p.ImageDigest = "other", "sha256:2" },
	} {
		is := full()
		change(is)
		if got := lines(t, full(), is, unknown); got != nil {
			t.Errorf("%s: %q", what, got)
		}
	}
}

// Each difference says what there was and is, plain values first.
func TestDifferencesInWords(t *testing.T) {
	for _, c := range []struct {
		change func(*Pinned)
		want   []string
	}{
		{func(p *Pinned) { p.ImageID = "sha256:2" }, []string{"image : sha256:1 -> sha256:2"}},
		{func(p *Pinned) { p.Cmd = []string{"sh", "-c", "it's; true", ""} }, []string{`command: sh -c true -> sh -c 'it'\''s; true' ''`}},
		{func(p *Pinned) { p.Cmd = nil }, []string{"command: sh -c true -> none"}},
		{func(p *Pinned) { p.Cwd, p.User = "", "2" }, []string{"working directory: /w -> none", "user: 1 -> 2"}},
		{func(p *Pinned) { p.ReadOnly = true }, []string{"read-only: false -> true"}},
		{func(p *Pinned) { p.Userns = &IDMap{} }, []string{"userns: false -> true"}},
		{func(p *Pinned) { p.Entrypoint = &[]string{} }, []string{"entrypoint: the image's -> none"}},
		{func(p *Pinned) { p.Entrypoint = &[]string{"a b"} }, []string{"entrypoint: the image's -> 'a b'"}},
		{func(p *Pinned) { p.Env = map[string]string{"A": "1 1", "C": ""} }, []string{"env A: 1 -> '1 1'", "env B: removed, was 2", "env C: added, ''"}},
		{func(p *Pinned) { p.Env = nil }, []string{"env A: removed, was 1", "env B: removed, was 2"}},
		{func(p *Pinned) { p.CacheMounts = p.CacheMounts[:1] }, []string{"caches: b:/b c:/c -> c:/c"}},
		{func(p *Pinned) { p.Tmpfs = []PinnedTmpfs{{Path: "/t", Bytes: 1}} }, []string{"tmpfs: none -> /t"}},
		{func(p *Pinned) { p.Secrets = []Secret{{Name: "S", Env: true, File: "/secret"}} }, []string{"secrets: none -> $S"}},
		{func(p *Pinned) { p.CapAdd = []string{"CAP_NET_RAW"} }, []string{"added capabilities: none -> CAP_NET_RAW"}},
		{func(p *Pinned) {
			p.Setup = &PinnedSetup{Cmd: []string{"apk", "add"}, Network: NetworkHost, CacheMounts: []Cache{{Name: "d", Path: "/d"}}}
		}, []string{"setup: none -> apk add, network host, d:/d"}},
		{func(p *Pinned) { p.Inputs[0].Step, p.Inputs[0].Digest = "", "q" }, []string{"input : content changed"}},
		{func(p *Pinned) { p.Inputs = p.Inputs[1:] }, []string{"input : removed, at /input/a"}},
		{func(p *Pinned) { p.Inputs = append(p.Inputs, PinnedInput{Step: "c", Copied: true}) }, []string{"copied input c: added"}},
		{func(p *Pinned) { slices.Reverse(p.Inputs) }, []string{"inputs: in another order"}},
		{func(p *Pinned) { p.Mounts[0].HostPath, p.Mounts[0].Digest = "/h", "q" }, []string{"mount /h: content changed"}},
		{func(p *Pinned) { p.Mounts[0].HostPath, p.Mounts[0].ContainerPath = "/h", "/n" }, []string{"mount /h: added, at /n", "mount : removed, at /m"}},
		{func(p *Pinned) { p.Sources = []PinnedMount{{HostPath: "/h", ContainerPath: "/m"}} }, []string{"source /h: added, at /m"}},
		{func(p *Pinned) { p.Env, p.Cwd = map[string]string{"A": "1"}, "/v" }, []string{"working directory: /w -> /v", "env B: removed, was 2"}},
	} {
		is := pinned()
		is.Mounts[0].HostPath, is.Inputs[0].Step = "", ""
		c.change(is)
		if got := lines(t, pinned(), is, unknown); !slices.Equal(got, c.want) {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
	}
	if got := lines(t, &Pinned{Image: "a", ImageID: "sha256:1"}, &Pinned{Image: "a", ImageID: "sha256:2"}, unknown); !slices.Equal(got, []string{"image a: sha256:1 -> sha256:2"}) {
		t.Errorf("%q", got)
	}
	if got := lines(t, &Pinned{Image: "a", ImageID: "sha256:1"}, &Pinned{Image: "b", ImageID: "sha256:2"}, unknown); !slices.Equal(got, []string{"image: a -> b"}) {
		t.Errorf("%q", got)
	}
}

// Hostile texts stay in their line: a command of several lines is usual, and the rest
// may hold what a terminal obeys.
func TestDifferencesOfHostileTexts(t *testing.T) {
	const hostile = "a\nb\x1b[2J\r\u2028\u0085\xff"
	is := full()
	is.Cmd, is.Cwd, is.Output, is.User = []string{"sh", "-c", hostile}, "/"+hostile, "/"+hostile, hostile
	is.Env = map[string]string{hostile: hostile}
	is.Inputs, is.Setup = []PinnedInput{{Step: "s", MountedAs: "/" + hostile}}, &PinnedSetup{Cmd: []string{hostile}}
	is.Mounts = []PinnedMount{{HostPath: "/" + hostile, ContainerPath: "/" + hostile}}
	is.CacheMounts, is.Tmpfs = []Cache{{Name: "c", Path: "/" + hostile}}, []PinnedTmpfs{{Path: "/" + hostile}}
	if got := lines(t, full(), is, unknown); len(got) < 10 {
		t.Errorf("%q", got)
	}
	lines(t, is, full(), unknown)
}

// A command is written as a shell reads it.
func TestQuote(t *testing.T) {
	shell, err := exec.LookPath("bash") // for $'...', which not each sh has yet
	if err != nil {
		t.Skip(err)
	}
	var every []byte
	for c := 1; c < 256; c++ {
		every = append(every, byte(c))
	}
	args := []string{"", "a", "it's", `\`, `\n`, "$HOME", "`x`", "*", "~", "#", "a b", "-n", "!", "é", "\n", "a\nb\n", "\x1b1", "\x011", "'\n'", `\` + "\n", "\u2028", string(every)}
	out, err := exec.Command(shell, "-c", `printf '%s\0' `+Quote(args)).Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"); !slices.Equal(got, args) {
		t.Errorf("got  %q\nwant %q\nfrom %s", got, args, Quote(args))
	}
}

// scanned is the content of a directory with those files.
func scanned(t *testing.T, files fstest.MapFS) *tree.Tree {
	t.Helper()
	dir := t.TempDir()
	for name, f := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, f.Mode|0o600); err != nil {
			t.Fatal(err)
		}
	}
	content, err := tree.Scan(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// Of trees that are known, the files that decide are named, or counted where there are
// many; a mode that decides nothing is not told.
func TestDifferencesOfTrees(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	same, groupReads := file("same"), file("same")
	groupReads.Mode = 0o040
	for want, now := range map[string]fstest.MapFS{
		"a changed":                    {"a": file("2"), "b": same},
		"b removed":                    {"a": file("1")},
		`"c\n" added`:                  {"a": file("1"), "b": same, "c\n": file("")},
		"a changed, b removed":         {"a": file("2")},
		"content changed (3 files)":    {"c": file("")},
		"a changed, \"\\u0085\" added": {"a": file("2"), "b": groupReads, "\u0085": file("")},
	} {
		was, is := scanned(t, fstest.MapFS{"a": file("1"), "b": same}), scanned(t, now)
		trees := Trees{
			Was:       func(digest string) *tree.Tree { return map[string]*tree.Tree{"z": was}[digest] },
			Is:        func(digest string) *tree.Tree { return map[string]*tree.Tree{"q": is}[digest] },
			Artifacts: func(in PinnedInput) *tree.Tree { return map[string]*tree.Tree{"x": was, "q": is}[in.Digest] },
		}
		p := pinned()
		p.Mounts[0].HostPath, p.Mounts[0].Digest, p.Inputs[0].Digest = "/h", "q", "q"
		if got := lines(t, pinned(), p, trees); !slices.Equal(got, []string{"input : " + want, "mount /h: " + want}) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A single file that is mounted has no name of its own.
func TestDifferencesOfAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	var trees []*tree.Tree
	for _, text := range []string{"1", "2"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		content, err := tree.Scan(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		trees = append(trees, content)
	}
	if got := changes(trees[0], trees[1]); got != "content changed" {
		t.Errorf("%q", got)
	}
}

// What a host path is called depends on where one is, as far as it is below.
func TestShort(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{dir: ".", dir + "/a/b": "a/b", dir + "x": dir + "x", filepath.Dir(dir): filepath.Dir(dir), "/": "/"} {
		if got := short(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
