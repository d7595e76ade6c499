package tree

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Remove deletes objects of all kinds and follows no link; what is gone, or no directory, is no error.
func TestRemove(t *testing.T) {
	dir, outside := filepath.Join(t.TempDir(), "dir"), t.TempDir()
	plant(t, outside, map[string]string{"f": "1"})
	plant(t, dir, map[string]string{"a/b/c": "1", "empty/": "", "l": "-> " + outside, "a/up": "-> ..", "a/b/odd\nname*": "2"})
	ok(t, unix.Mkfifo(filepath.Join(dir, "pipe"), 0o666))
	chain(t, dir, "deep", 300)
	soon(t, func() { ok(t, Remove(dir)) })
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(outside, "f")); err != nil {
		t.Error("a link was followed")
	}
	ok(t, Remove(dir))
	ok(t, Remove(filepath.Join(outside, "f")))
	if names, _ := os.ReadDir(outside); len(names) != 0 {
		t.Error(names)
	}
}
