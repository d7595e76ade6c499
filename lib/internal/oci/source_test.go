package oci

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"pipex/lib/internal/secret"
	"pipex/lib/step"
)

// host is a directory of the host with a file.
func host(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "host")
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "sub"), 0o755), os.WriteFile(filepath.Join(dir, "sub", "f"), []byte("text"), 0o640)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A copy is writable and apart from what it is a copy of, and one that stands is taken as
// it is: an earlier exec may have changed it.
func TestCopyOfASource(t *testing.T) {
	from, to := host(t), filepath.Join(t.TempDir(), "0")
	s := source{host: from, destination: "/d"}
	owner := secret.Owner{UID: os.Getuid(), GID: os.Getgid()}
	data := filepath.Join(to, "copy")
	info, err := os.Stat(from)
	if err == nil {
		err = s.copy(t.Context(), data, info, owner)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "sub", "f"), []byte("changed"), 0); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(filepath.Join(from, "sub", "f")); string(got) != "text" {
		t.Errorf("the host's file is %q, %v", got, err)
	}
	m, err := s.mount(t.Context(), to, owner)
	if err != nil || m.Source != data || m.Destination != "/d" || m.ReadOnly {
		t.Errorf("%+v, %v", m, err)
	}
	if got, err := os.ReadFile(filepath.Join(data, "sub", "f")); string(got) != "changed" {
		t.Errorf("the copy is %q, %v", got, err)
	}
}

// A copy that was not finished is begun anew, and is never taken for a whole one.
func TestCopyOfASourceIsWhole(t *testing.T) {
	from, to := host(t), filepath.Join(t.TempDir(), "0")
	draft := filepath.Join(to, "copy.new")
	if err := errors.Join(os.MkdirAll(draft, 0o755), os.WriteFile(filepath.Join(draft, "left"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	m, err := source{host: filepath.Join(from, "sub", "f"), destination: "/f"}.mount(t.Context(), to, secret.Owner{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(m.Source); string(got) != "text" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := os.Lstat(draft); err == nil {
		t.Error("the draft is still there")
	}
}

// What cannot be copied leaves nothing that would be taken for a copy.
func TestSourcesThatCannotBeCopied(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, filepath.Join(dir, "none")} {
		to := filepath.Join(t.TempDir(), "0")
		if m, err := (source{host: path, destination: "/d"}).mount(t.Context(), to, secret.Owner{UID: 1}); err == nil {
			t.Errorf("%s: %+v", path, m)
		}
		if _, err := os.Lstat(filepath.Join(to, "copy")); err == nil {
			t.Errorf("%s: there is a copy", path)
		}
	}
}

// A file belongs to the command's user, and that user can write to it.
func TestOwnerOfACopy(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	from, to := host(t), filepath.Join(t.TempDir(), "0")
	if err := os.Symlink("/nowhere", filepath.Join(from, "link")); err != nil {
		t.Fatal(err)
	}
	m, err := source{host: from, destination: "/d"}.mount(t.Context(), to, secret.Owner{UID: 1234, GID: 5678})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "sub", "sub/f", "link"} {
		info, err := os.Lstat(filepath.Join(m.Source, name))
		if err != nil {
			t.Fatal(err)
		}
		if s := info.Sys().(*syscall.Stat_t); s.Uid != 1234 || s.Gid != 5678 {
			t.Errorf("%q belongs to %d:%d", name, s.Uid, s.Gid)
		}
	}
}

// A path that would have to be escaped in the options of an overlay is copied instead.
func TestNoOverlayOfHostilePaths(t *testing.T) {
	for _, name := range []string{"a,b", "a:b", `a\b`, "a,upperdir=x"} {
		for _, s := range []struct{ host, dir string }{{"/h/" + name, "/d"}, {"/h", "/d/" + name}} {
			if m, can, err := (source{host: s.host, destination: "/d"}).overlay(s.dir); can || err != nil {
				t.Errorf("%+v: %+v, %v", s, m, err)
			}
		}
	}
	if os.Geteuid() != 0 {
		return
	}
	from := host(t) + ":x"
	if err := os.Rename(strings.TrimSuffix(from, ":x"), from); err != nil {
		t.Fatal(err)
	}
	m, err := source{host: from, destination: "/d"}.mount(t.Context(), filepath.Join(t.TempDir(), "0"), secret.Owner{})
	if err != nil || m.Type != "" {
		t.Errorf("%+v, %v", m, err)
	}
}

// All files of a root file system get the users that they have in the container: links
// themselves, a file of two names once, and setuid bits stay.
func TestGiveAll(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	dir := host(t)
	file := filepath.Join(dir, "sub", "f")
	outside := filepath.Join(t.TempDir(), "outside")
	if err := errors.Join(os.Chmod(dir, 0o755), os.Lchown(file, 5, 0), os.Chmod(file, 0o755|os.ModeSetuid), os.Link(file, filepath.Join(dir, "again")),
		os.WriteFile(outside, nil, 0o600), os.Symlink(outside, filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	m := &step.IDMap{UID: 1000, GID: 100, SubUID: 100000, SubGID: 200000}
	if err := giveAll(dir, m); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][3]uint32{
		dir: {1000, 100, unix.S_IFDIR | 0o755}, file: {100004, 100, unix.S_IFREG | 0o4755},
		filepath.Join(dir, "link"): {1000, 100, unix.S_IFLNK | 0o777}, outside: {0, uint32(os.Getegid()), unix.S_IFREG | 0o600},
	} {
		var s unix.Stat_t
		if err := unix.Lstat(path, &s); err != nil || [3]uint32{s.Uid, s.Gid, s.Mode} != want {
			t.Errorf("%s: %d:%d %o, %v; want %v", path, s.Uid, s.Gid, s.Mode, err, want)
		}
	}
}
