package tree

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSeal(t *testing.T) {
	for _, more := range []int{0, fewObjects} { // synced one by one, and at once
		t.Run(fmt.Sprint(more), func(t *testing.T) {
			dir := t.TempDir()
			plant(t, dir, map[string]string{"plain": "1", "bin/tool*": "2", "suid*": "3", "sealed": "4", "sgid": "5", "l": "-> plain", "sticky/": ""})
			for i := range more {
				plant(t, dir, map[string]string{fmt.Sprint("more/", i): "x"})
			}
			for name, mode := range map[string]fs.FileMode{
				"suid": fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky | 0o777, "sealed": 0o400, "sgid": fs.ModeSetgid | 0o555, "sticky": fs.ModeSticky | 0o777,
			} {
				ok(t, os.Chmod(filepath.Join(dir, name), mode))
			}
			before := scan1(t, dir)
			got, err := sealTree(dir)
			ok(t, err)
			if differences := got.Compare(scan1(t, dir)); differences != nil {
				t.Errorf("what it returns is not what is there: %v", differences)
			}
			if got.Digest() != before.Digest() {
				t.Error("the digest is another one")
			}
			for _, e := range got.Entries {
				want, known := map[string]fs.FileMode{
					"plain": 0o444, "bin/tool": 0o555, "suid": 0o555, "sealed": 0o400, "sgid": 0o555, "l": fs.ModeSymlink | 0o777,
					"bin": fs.ModeDir | 0o755, "sticky": fs.ModeDir | fs.ModeSticky | 0o777,
				}[e.Path]
				if known && e.Mode != want {
					t.Errorf("%q has mode %v, want %v", e.Path, e.Mode, want)
				}
			}
			again, err := sealTree(dir)
			ok(t, err)
			if differences := got.Compare(again); differences != nil {
				t.Errorf("sealed again: %v", differences)
			}
		})
	}
}

// Linux reports a write error once, so the sync that begins while files are hashed may be the one that
// gets it.
func TestSyncReturnsTheErrorOfTheFirstSync(t *testing.T) {
	dir := t.TempDir()
	for i := range fewObjects {
		plant(t, dir, map[string]string{fmt.Sprint(i): "x"})
	}
	s, err := Seal(t.Context(), dir)
	ok(t, err)
	ok(t, <-s.begun)
	failed := make(chan error, 1)
	failed <- unix.EIO
	s.begun = failed
	is(t, s.Sync(t.Context()), unix.EIO)
}

// A large file is hashed by pieces that another goroutine reads.
func TestLargeFilesHaveTheirSums(t *testing.T) {
	dir := t.TempDir()
	names := map[string]string{}
	for _, more := range []int{-1, 0, 1, 128 << 10, 128<<10 + 1, 5<<20 + 3} {
		content := make([]byte, largeFile+more)
		rand.NewChaCha8([32]byte{1}).Read(content)
		names[fmt.Sprint("f", more)] = string(content)
	}
	plant(t, dir, names)
	sealed, err := sealTree(dir)
	ok(t, err)
	for of, entries := range map[string][]Entry{"Scan": scan1(t, dir).Entries, "Seal": sealed.Entries} {
		if len(entries) != len(names)+1 {
			t.Errorf("%s finds %d entries, want %d", of, len(entries), len(names)+1)
		}
		for _, e := range entries[1:] {
			if content := names[e.Path]; e.Sum != sha256.Sum256([]byte(content)) || e.Size != int64(len(content)) {
				t.Errorf("%s: %q has %d bytes and the sum %x, which is not that of its %d bytes", of, e.Path, e.Size, e.Sum, len(content))
			}
		}
	}
}

func TestSealIgnoresWhereLinksLead(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	plant(t, outside, map[string]string{"f": "1"})
	plant(t, dir, map[string]string{"file": "-> " + outside + "/f", "dir": "-> " + outside})
	_, err := sealTree(dir)
	ok(t, err)
	if mode := scan1(t, outside).Entries[1].Mode; mode != 0o644 {
		t.Errorf("a file outside has mode %v now", mode)
	}
}

func TestSealChangesNothingIfItRefuses(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, map[string]string{"a": "1", "b/c*": "2"})
	before := scan1(t, dir)
	pipe := filepath.Join(dir, "pipe")
	ok(t, unix.Mkfifo(pipe, 0o666))
	soon(t, func() {
		if _, err := sealTree(dir); !errors.As(err, new(*SpecialError)) {
			t.Errorf("error is %v", err)
		}
	})
	ok(t, os.Remove(pipe))
	if differences := before.Compare(scan1(t, dir)); differences != nil {
		t.Errorf("changed: %v", differences)
	}
}

// Hard links share a mode, which may change while the other one is read.
func TestSealOfHardLinks(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, map[string]string{"0": "shared"})
	for i := range 200 {
		ok(t, os.Link(filepath.Join(dir, "0"), filepath.Join(dir, fmt.Sprint(i+1))))
	}
	got, err := sealTree(dir)
	ok(t, err)
	if differences := got.Compare(scan1(t, dir)); differences != nil {
		t.Error(differences)
	}
}

func TestSealDropsCapabilities(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, map[string]string{"ping*": "1"})
	path := filepath.Join(dir, "ping")
	// VFS_CAP_REVISION_2 with CAP_NET_RAW permitted and effective.
	capability := []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	if err := unix.Setxattr(path, "security.capability", capability, 0); err != nil {
		t.Skip(err)
	}
	_, err := sealTree(dir)
	ok(t, err)
	if _, err := unix.Getxattr(path, "security.capability", nil); err != unix.ENODATA {
		t.Errorf("asking for capabilities gives %v", err)
	}
}

func TestSealNoticesAWriter(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, map[string]string{"log": ""})
	f, err := os.OpenFile(filepath.Join(dir, "log"), os.O_WRONLY|os.O_APPEND, 0)
	ok(t, err)
	defer f.Close()
	ok(t, f.Truncate(64<<20)) // takes some ticks to read
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				f.WriteAt([]byte("x"), 0)
				f.Write([]byte("x"))
			}
		}
	}()
	_, err = sealTree(dir)
	close(stop)
	<-stopped
	is(t, err, ErrChanged)
}

func TestSealOfWhatMayNotBeRead(t *testing.T) {
	asNobody(t)
	dir := t.TempDir()
	plant(t, dir, map[string]string{"f": "1"})
	ok(t, os.Chmod(filepath.Join(dir, "f"), 0o200))
	_, err := sealTree(dir)
	is(t, err, fs.ErrPermission)
}
