package tree

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func copied(t *testing.T, dst string, content map[string]string) error {
	t.Helper()
	src := t.TempDir()
	plant(t, src, content)
	return Copy(context.Background(), dst, src)
}

// A copy is what the original is, but that its owner can write to it.
func TestCopyKeepsContent(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	plant(t, src, map[string]string{"a": "1", "d/e/run*": "2", "empty/": "", "l": "-> d/e", "up": "-> ../../etc"})
	for _, name := range everyName() {
		plant(t, src, map[string]string{"names/" + strings.TrimSuffix(name, "*"): "3"})
	}
	ok(t, os.Link(filepath.Join(src, "a"), filepath.Join(src, "b")))
	want := scan1(t, src)
	_, err := sealTree(src)
	ok(t, err)
	ok(t, Copy(context.Background(), dst, src))
	if got := scan1(t, dst); got.Digest() != want.Digest() {
		t.Errorf("a copy differs:\n%v\n%v", got, want)
	}
	a, err := os.Stat(filepath.Join(dst, "a"))
	ok(t, err)
	b, err := os.Stat(filepath.Join(dst, "b"))
	ok(t, err)
	if !os.SameFile(a, b) {
		t.Error("two names of one file became two files")
	}
	from, err := os.Stat(filepath.Join(src, "a"))
	ok(t, err)
	if !a.ModTime().Equal(from.ModTime()) {
		t.Errorf("changed at %v, the original at %v", a.ModTime(), from.ModTime())
	}
}

// What an earlier copy left in a directory is replaced, never followed: its
// links may lead anywhere.
func TestCopyFollowsNoLinks(t *testing.T) {
	outside := t.TempDir()
	plant(t, outside, map[string]string{"f": "safe", "d/f": "safe"})
	before := scan1(t, outside)
	dst := t.TempDir()
	ok(t, copied(t, dst, map[string]string{
		"f": "-> " + outside + "/f", "new": "-> " + outside + "/new", "d": "-> " + outside + "/d", "h": "one",
	}))
	ok(t, copied(t, dst, map[string]string{"f*": "evil", "new": "evil", "h": "-> h2"}))
	if err := copied(t, dst, map[string]string{"d/f": "evil"}); err == nil || !strings.Contains(err.Error(), `"d"`) {
		t.Errorf("a directory took the place of a link: %v", err)
	}
	if after := scan1(t, outside); after.Digest() != before.Digest() {
		t.Error("wrote through a link")
	}
	for name, want := range map[string]string{"f": "evil", "new": "evil"} {
		if got, err := os.ReadFile(filepath.Join(dst, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if got, err := os.Readlink(filepath.Join(dst, "h")); got != "h2" {
		t.Errorf("h: %q, %v", got, err)
	}
}

func TestCopyRefusesFileForDirectory(t *testing.T) {
	dst := t.TempDir()
	ok(t, copied(t, dst, map[string]string{"d/f": "1"}))
	if err := copied(t, dst, map[string]string{"d": "2"}); err == nil || !strings.Contains(err.Error(), `"d"`) {
		t.Errorf("a file took the place of a directory: %v", err)
	}
	ok(t, copied(t, dst, map[string]string{"d/g": "3"}))
}

func TestCopyCanBeCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Copy(ctx, t.TempDir(), t.TempDir()); err != context.Canceled {
		t.Errorf("got %v", err)
	}
}
