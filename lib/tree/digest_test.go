package tree

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var planted = map[string]string{"a": "1", "bin/tool*": "2", "dir/": "", "l": "-> a", "name\n\xff": "3"}

func TestDigestIsOfTheContentAlone(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	plant(t, one, planted)
	plant(t, two, planted)
	ok(t, os.Chmod(filepath.Join(two, "a"), 0o440))
	ok(t, os.Chmod(filepath.Join(two, "bin/tool"), 0o500))
	ok(t, os.Chmod(filepath.Join(two, "dir"), fs.ModeSetgid|0o700))
	ok(t, os.Chtimes(filepath.Join(two, "a"), time.Unix(1, 0), time.Unix(2, 3)))
	want := scan1(t, one).Digest()
	for range 10 {
		if got := scan1(t, two).Digest(); got != want {
			t.Fatalf("digest is %s, want %s", got, want)
		}
	}
}

// The form is a promise: fingerprints are made of it.
func TestDigestForm(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, planted)
	record := func(kind, content, path string) string {
		return fmt.Sprintf("%s %d %x %s\x00", kind, len(content), sha256.Sum256([]byte(content)), path)
	}
	form := "dir .\x00" + record("file", "1", "a") + "dir bin\x00" + record("exec", "2", "bin/tool") +
		"dir dir\x00" + "link l\x00a\x00" + record("file", "3", "name\n\xff")
	if got, want := scan1(t, dir).Digest(), fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(form))); got != want {
		t.Errorf("digest is %s, want %s", got, want)
	}
}

func TestDigestTellsChanges(t *testing.T) {
	in := func(name string, f func(path string) error) func(string) error {
		return func(dir string) error { return f(filepath.Join(dir, name)) }
	}
	seen := map[string]string{}
	for name, change := range map[string]func(dir string) error{
		"nothing":           func(string) error { return nil },
		"content":           in("a", func(path string) error { return os.WriteFile(path, []byte("x"), 0) }),
		"content, longer":   in("a", func(path string) error { return os.WriteFile(path, []byte("11"), 0) }),
		"executable":        in("a", func(path string) error { return os.Chmod(path, 0o744) }),
		"not executable":    in("bin/tool", func(path string) error { return os.Chmod(path, 0o655) }),
		"renamed":           in("a", func(path string) error { return os.Rename(path, path+"a") }),
		"moved":             in("a", func(path string) error { return os.Rename(path, filepath.Dir(path)+"/dir/a") }),
		"removed":           in("dir", os.Remove),
		"added":             in("new", func(path string) error { return os.Mkdir(path, 0o755) }),
		"target":            in("l", func(path string) error { os.Remove(path); return os.Symlink("b", path) }),
		"link to file":      in("l", func(path string) error { os.Remove(path); return os.WriteFile(path, []byte("a"), 0o644) }),
		"directory to file": in("dir", func(path string) error { os.Remove(path); return os.WriteFile(path, nil, 0o644) }),
	} {
		dir := t.TempDir()
		plant(t, dir, planted)
		ok(t, change(dir))
		digest := scan1(t, dir).Digest()
		if other, found := seen[digest]; found {
			t.Errorf("%q and %q have the same digest", name, other)
		}
		seen[digest] = name
	}
}
