package tree

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func manifest(t testing.TB, content *Tree) string {
	t.Helper()
	var b strings.Builder
	ok(t, content.WriteManifest(&b))
	return b.String()
}

func roundTrip(t testing.TB, content *Tree) {
	t.Helper()
	text := manifest(t, content)
	got, err := ReadManifest(strings.NewReader(text))
	ok(t, err)
	if !reflect.DeepEqual(got, content) {
		t.Fatalf("read back as something else:\n%s", text)
	}
	if differences := content.Compare(got); differences != nil || got.Digest() != content.Digest() {
		t.Fatalf("differs: %v", differences)
	}
}

func TestManifest(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, map[string]string{"a b/": "", "a b/#1*": "hello", "l": "-> a b/*"})
	ok(t, os.Chmod(dir, fs.ModeSticky|0o775))
	content, err := sealTree(dir)
	ok(t, err)
	want := `#mtree
. type=dir mode=1775
./a\040b type=dir mode=0755
./a\040b/\0431 type=file mode=0555 size=5 sha256=2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824
./l type=link link=a\040b/\052
# ` + content.Digest() + "\n"
	if got := manifest(t, content); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	roundTrip(t, content)
}

// hostile fills dir with all that a step can do to names and modes.
func hostile(t *testing.T, dir string) {
	t.Helper()
	plant(t, dir, map[string]string{"file/": "", "dir/": "", "link/": ""})
	for i, name := range everyName() {
		ok(t, os.WriteFile(filepath.Join(dir, "file", name), []byte(name), 0o644))
		ok(t, os.Mkdir(filepath.Join(dir, "dir", name), 0o755))
		ok(t, os.WriteFile(filepath.Join(dir, "dir", name, name), nil, 0o600))
		ok(t, os.Symlink(name, filepath.Join(dir, "link", name)))
		ok(t, os.Chmod(filepath.Join(dir, "dir", name), fs.FileMode(0o700+i%64)|fs.ModeSetgid))
	}
	ok(t, os.Chmod(filepath.Join(dir, "file", "x1"), 0o711|fs.ModeSetuid))
}

func TestManifestOfAnyNames(t *testing.T) {
	dir := t.TempDir()
	hostile(t, dir)
	roundTrip(t, scan1(t, dir))
	content, err := sealTree(dir)
	ok(t, err)
	roundTrip(t, content)
}

func TestMtreeVerifies(t *testing.T) {
	mtree, err := exec.LookPath("mtree")
	if err != nil {
		t.Skip("needs mtree, of Debian's mtree-netbsd")
	}
	dir := t.TempDir()
	hostile(t, dir)
	content, err := sealTree(dir)
	ok(t, err)
	list := filepath.Join(t.TempDir(), "manifest")
	verify := func() error {
		cmd := exec.Command(mtree, "-f", list, "-p", dir)
		out, err := cmd.CombinedOutput()
		t.Logf("%.2000s", out)
		return err
	}
	ok(t, os.WriteFile(list, []byte(manifest(t, content)), 0o600))
	ok(t, verify())
	if t.Failed() {
		return
	}
	name := filepath.Join(dir, "file", "*")
	ok(t, os.Chmod(name, 0o644))
	ok(t, os.WriteFile(name, []byte("?"), 0o644))
	ok(t, os.Chmod(name, 0o444))
	if verify() == nil {
		t.Error("mtree does not notice a change")
	}
}

// someTree is a random but well-formed tree.
func someTree(r *rand.Rand) *Tree {
	names := everyName()
	t := &Tree{Entries: []Entry{{Path: ".", Mode: fs.ModeDir | fs.FileMode(r.IntN(0o1000))}}}
	directories, taken := []string{""}, map[string]bool{}
	for range r.IntN(60) {
		path := directories[r.IntN(len(directories))] + names[r.IntN(len(names))]
		if taken[path] {
			continue
		}
		taken[path] = true
		e := Entry{Path: path, Mode: fs.FileMode(r.IntN(0o1000))}
		switch r.IntN(4) {
		case 0:
			e.Mode |= fs.ModeDir
			directories = append(directories, path+"/")
		case 1:
			e.Mode, e.Link = fs.ModeSymlink|0o777, strings.Repeat("../", r.IntN(3))+names[r.IntN(len(names))]
		default:
			e.Mode |= [...]fs.FileMode{0, fs.ModeSetuid, fs.ModeSetgid | fs.ModeSticky}[r.IntN(3)]
			e.Size, e.Sum = r.Int64(), sha256.Sum256([]byte(path))
		}
		t.Entries = append(t.Entries, e)
	}
	slices.SortFunc(t.Entries, func(a, b Entry) int { return comparePaths(a.Path, b.Path) })
	return t
}

func TestManifestOfAnyTree(t *testing.T) {
	for seed := range uint64(500) {
		roundTrip(t, someTree(rand.New(rand.NewPCG(seed, 0))))
	}
}

func TestReadManifestRefuses(t *testing.T) {
	file := " type=file mode=0644 size=0 sha256=" + strings.Repeat("0", 64) + "\n"
	const root = ". type=dir mode=0755\n"
	for name, c := range map[string]struct{ text, want string }{
		"nothing":               {"", "line 1: cut short"},
		"another format":        {"hello\n", "line 1: no"},
		"no entries":            {"#mtree\n", "line 2: cut short"},
		"no root":               {"#mtree\n./a" + file, "line 2: the first entry is not the root"},
		"half a line":           {"#mtree\n. type=dir", "line 2: cut short"},
		"no digest":             {"#mtree\n" + root, "line 3: cut short"},
		"another digest":        {"#mtree\n" + root + "# sha256:0\n", "line 3: the digest"},
		"a path twice":          {"#mtree\n" + root + "./a" + file + "./a" + file, "line 4: out of order"},
		"out of order":          {"#mtree\n" + root + "./b" + file + "./a" + file, "line 4: out of order"},
		"in no directory":       {"#mtree\n" + root + "./a/b" + file, "line 3: its parent is not a directory"},
		"in a file":             {"#mtree\n" + root + "./a" + file + "./a/b" + file, "line 4: its parent is not a directory"},
		"outside":               {"#mtree\n" + root + "./.." + file, "line 3: \"..\" cannot be a name"},
		"outside, in disguise":  {"#mtree\n" + root + `./\056\056` + file, "line 3: \"..\" cannot be a name"},
		"absolute":              {"#mtree\n" + root + "/etc" + file, "line 3: path does not begin"},
		"no name":               {"#mtree\n" + root + "./" + file, "line 3: \"\" cannot be a name"},
		"a slash in a name":     {"#mtree\n" + root + `./a\057b` + file, "line 3: \"a/b\" cannot be a name"},
		"NUL in a name":         {"#mtree\n" + root + `./a\000` + file, "line 3: \"a\\x00\" cannot be a name"},
		"half an escape":        {"#mtree\n" + root + `./a\04` + file, "line 3: backslash"},
		"no octal escape":       {"#mtree\n" + root + `./a\08x` + file, "line 3: backslash"},
		"an escape past a byte": {"#mtree\n" + root + `./a\777` + file, "line 3: backslash"},
		"a needless escape":     {"#mtree\n" + root + `./\141` + file, "line 3: not an entry"},
		"an unknown keyword":    {"#mtree\n" + root + "./a type=dir mode=0755 uid=0\n", "line 3: not an entry"},
		"an unknown type":       {"#mtree\n" + root + "./a type=fifo\n", "line 3: not an entry"},
		"no type":               {"#mtree\n" + root + "./a\n", "line 3: not an entry"},
		"no size":               {"#mtree\n" + root + "./a" + strings.Replace(file, " size=0", "", 1), "line 3: not an entry"},
		"a negative size":       {"#mtree\n" + root + "./a" + strings.Replace(file, "size=0", "size=-1", 1), "line 3: not an entry"},
		"a mode too large":      {"#mtree\n" + root + "./a type=dir mode=17777\n", "line 3: not an entry"},
		"half a sum":            {"#mtree\n" + root + "./a" + strings.Replace(file, "00000000", "", 1), "line 3: not an entry"},
		"a link to nothing":     {"#mtree\n" + root + "./a type=link link=\n", "line 3: not an entry"},
		"a file with a target":  {"#mtree\n" + root + "./a" + strings.TrimSuffix(file, "\n") + " link=b\n", "line 3: not an entry"},
		"a foreign newline":     {"#mtree\n. type=dir mode=0755\r\n", "line 2: "},
		"a sum too long":        {"#mtree\n" + root + "./a" + strings.TrimSuffix(file, "\n") + "00\n", "line 3: not an entry"},
		"blanks":                {"#mtree\n" + root + "./a" + strings.Replace(file, " size", "  size", 1), "line 3: not an entry"},
		"nothing but a newline": {"#mtree\n\n", "line 2: path does not begin"},
		"an endless line":       {"#mtree\n" + strings.Repeat("x", maxLine+1), "line 2: too long"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadManifest(strings.NewReader(c.text))
			if err == nil || got != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want %q", err, c.want)
			}
		})
	}
}

func TestReadManifestNoticesAnyChange(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, planted)
	content := scan1(t, dir)
	text := manifest(t, content)
	for i := range len(text) {
		if _, err := ReadManifest(strings.NewReader(text[:i])); err == nil {
			t.Fatalf("accepts the first %d bytes of %d", i, len(text))
		}
		// What the digest leaves out, a mode, may be flipped to another one.
		flipped := text[:i] + string([]byte{text[i] ^ 1}) + text[i+1:]
		if got, err := ReadManifest(strings.NewReader(flipped)); err == nil && got.Digest() != content.Digest() {
			t.Fatalf("accepts a flip at %d", i)
		}
	}
	_, err := ReadManifest(strings.NewReader(text + "\n"))
	if want := fmt.Sprintf("line %d: text after", len(content.Entries)+3); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error is %v, want %q", err, want)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestWriteManifestTellsErrors(t *testing.T) {
	is(t, someTree(rand.New(rand.NewPCG(1, 1))).WriteManifest(fullDisk{}), io.ErrShortWrite)
}

// What is accepted is written the same again.
func FuzzReadManifest(f *testing.F) {
	for seed := range uint64(5) {
		f.Add([]byte(manifest(f, someTree(rand.New(rand.NewPCG(seed, 2))))))
	}
	f.Add([]byte("#mtree\n. type=dir mode=0755\n./a\\777 type=link link=\\1\n# sha256:\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		content, err := ReadManifest(bytes.NewReader(text))
		if err == nil && manifest(t, content) != string(text) {
			t.Errorf("accepted but written otherwise: %q", text)
		}
	})
}

// A line that parses is the line of what it says; no digest stands in the way.
func FuzzParseLine(f *testing.F) {
	f.Add(`./a\040\134\052/b type=link link=\377`)
	f.Add("./a type=file mode=4755 size=1 sha256=" + strings.Repeat("0f", 32))
	f.Add(`./\134\133 type=dir mode=1777`)
	f.Fuzz(func(t *testing.T, line string) {
		e, err := parseLine(line)
		if err != nil {
			return
		}
		again, err := parseLine(strings.TrimSuffix(string(appendLine(nil, &e)), "\n"))
		if e.Mode.Type()&^(fs.ModeDir|fs.ModeSymlink) != 0 {
			return // mode=10644; add refuses it
		}
		if err != nil || again != e {
			t.Errorf("%q is %+v, then %+v, %v", line, e, again, err)
		}
	})
}

func FuzzNames(f *testing.F) {
	for _, name := range everyName() {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		text := string(encodeName(nil, name))
		if got, err := decodeName(text); got != name || err != nil {
			t.Errorf("%q is written %q, read %q, %v", name, text, got, err)
		}
		for _, c := range []byte(text) {
			if c <= ' ' || c > '~' || strings.IndexByte("#*?[", c) >= 0 {
				t.Errorf("%q is written %q", name, text)
			}
		}
	})
}
