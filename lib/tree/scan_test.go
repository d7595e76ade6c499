package tree

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestScan(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, map[string]string{
		"a": "alpha", "bin/tool*": "#!", "empty/": "", "zero": "",
		"-": "sorts before the root's name", "bin-": "sorts before what bin holds", "bin/l": "-> ../nowhere",
	})
	got := scan1(t, dir)
	if want := ". - a bin bin- bin/l bin/tool empty zero"; paths(got) != want {
		t.Errorf("paths are %q, want %q", paths(got), want)
	}
	if got.Files() != 5 || got.Bytes() != 5+2+28+27 {
		t.Errorf("%d files, %d bytes", got.Files(), got.Bytes())
	}
	byPath := map[string]Entry{}
	for _, e := range got.Entries {
		byPath[e.Path] = e
	}
	for _, want := range []Entry{
		{Path: "a", Mode: 0o644, Size: 5, Sum: sha256.Sum256([]byte("alpha"))},
		{Path: "zero", Mode: 0o644, Sum: sha256.Sum256(nil)},
		{Path: "bin/tool", Mode: 0o755, Size: 2, Sum: sha256.Sum256([]byte("#!"))},
		{Path: "bin", Mode: fs.ModeDir | 0o755},
		{Path: "bin/l", Mode: fs.ModeSymlink | 0o777, Link: "../nowhere"},
	} {
		if byPath[want.Path] != want {
			t.Errorf("got %+v, want %+v", byPath[want.Path], want)
		}
	}
}

func TestScanOfOneFile(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, map[string]string{"hosts": "::1 localhost"})
	got := scan1(t, filepath.Join(dir, "hosts"))
	if len(got.Entries) != 1 || got.Entries[0].Path != "." || got.Bytes() != 13 {
		t.Errorf("got %+v", got.Entries)
	}
}

func TestScanFollowsNothing(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	plant(t, outside, map[string]string{"secret": "x"})
	links := map[string]string{
		"root": "-> /", "up": "-> ..", "self": "-> .", "loop": "-> loop", "out": "-> " + outside,
		"file": "-> " + outside + "/secret", "long": "-> " + strings.Repeat("x", 4095),
	}
	plant(t, dir, links)
	got := scan1(t, dir)
	if len(got.Entries) != 1+len(links) {
		t.Errorf("followed: %s", paths(got))
	}
	for _, e := range got.Entries[1:] {
		if "-> "+e.Link != links[e.Path] {
			t.Errorf("%q leads to %q", e.Path, e.Link)
		}
	}
	if _, err := Scan(context.Background(), filepath.Join(dir, "out")); err == nil {
		t.Error("a root that is a link was followed")
	}
}

// A directory and a link to another one take turns under the same name.
func TestScanIsNotRedirectedByARace(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	plant(t, outside, map[string]string{"secret": "x"})
	plant(t, dir, map[string]string{"in/turn/inside": "y", "in/link": "-> " + outside})
	stop := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		a, b := filepath.Join(dir, "in/turn"), filepath.Join(dir, "in/link")
		for {
			select {
			case <-stop:
				return
			default:
				unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	seen := 0
	for range 300 {
		got, err := Scan(context.Background(), dir)
		if err != nil {
			continue // told that it changed, or that it is a link by now
		}
		seen++
		if strings.Contains(paths(got), "secret") {
			t.Fatalf("left the directory: %s", paths(got))
		}
	}
	if seen == 0 {
		t.Error("no scan came through")
	}
}

func TestSpecialFiles(t *testing.T) {
	for name, c := range map[string]struct {
		kind fs.FileMode
		make func(path string) error
	}{
		"fifo": {fs.ModeNamedPipe, func(path string) error { return unix.Mkfifo(path, 0o666) }},
		"socket": {fs.ModeSocket, func(path string) error {
			l, err := net.Listen("unix", path)
			if err == nil {
				t.Cleanup(func() { l.Close() })
			}
			return err
		}},
		"char":  {fs.ModeDevice | fs.ModeCharDevice, func(path string) error { return unix.Mknod(path, unix.S_IFCHR|0o666, 0x0103) }},
		"block": {fs.ModeDevice, func(path string) error { return unix.Mknod(path, unix.S_IFBLK|0o666, 0x0700) }},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			plant(t, dir, map[string]string{"sub/": ""})
			path := filepath.Join(dir, "sub", "it")
			if err := c.make(path); errors.Is(err, unix.EPERM) {
				t.Skip("needs root")
			} else {
				ok(t, err)
			}
			soon(t, func() {
				for _, scan := range []func() (*Tree, error){
					func() (*Tree, error) { return Scan(context.Background(), dir) },
					func() (*Tree, error) { return sealTree(dir) },
				} {
					_, err := scan()
					var special *SpecialError
					if !errors.As(err, &special) || special.Path != "sub/it" || special.Type != c.kind {
						t.Errorf("error is %v", err)
					}
				}
				got := scan1(t, dir, RecordSpecial())
				if e := got.Entries[2]; e.Path != "sub/it" || e.Mode.Type() != c.kind {
					t.Errorf("recorded %+v", e)
				}
				if err := got.WriteManifest(new(strings.Builder)); !errors.As(err, new(*SpecialError)) {
					t.Errorf("manifest: error is %v", err)
				}
				ok(t, os.Remove(path))
				if scan1(t, dir).Digest() == got.Digest() {
					t.Error("the digest does not tell that it is there")
				}
			})
		})
	}
}

func TestScanDeeperThanAnyPath(t *testing.T) {
	dir := t.TempDir()
	const depth = 200
	name := strings.Repeat("d", 50)
	last := chain(t, dir, name, depth)
	fd, err := unix.Openat(last, "leaf", unix.O_CREAT|unix.O_WRONLY, 0o644)
	ok(t, err)
	unix.Close(fd)
	got, err := sealTree(dir)
	ok(t, err)
	want := strings.Repeat(name+"/", depth) + "leaf"
	if e := got.Entries[len(got.Entries)-1]; len(got.Entries) != depth+2 || e.Path != want || e.Mode != 0o444 {
		t.Errorf("%d entries, the last has mode %v and a path of %d bytes", len(got.Entries), e.Mode, len(e.Path))
	}
	roundTrip(t, got)
}

func TestScanRefusesPathsWithoutEnd(t *testing.T) {
	dir := t.TempDir()
	chain(t, dir, strings.Repeat("d", 250), 70)
	_, err := Scan(context.Background(), dir)
	is(t, err, unix.ENAMETOOLONG)
	if len(err.Error()) > 300 {
		t.Errorf("the error itself has %d bytes", len(err.Error()))
	}
}

// The chain is longer than the limit on open files.
func TestScanHoldsFewDescriptors(t *testing.T) {
	dir := t.TempDir()
	chain(t, dir, "d", 400)
	var old unix.Rlimit
	ok(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
	ok(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 100, Max: old.Max}))
	if got := scan1(t, dir); len(got.Entries) != 401 {
		t.Errorf("%d entries", len(got.Entries))
	}
}

func TestScanClosesWhatItOpens(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, map[string]string{"a/b/c/d": "1", "a/b/e/f": "2", "g/h/i": "3", "g/j": "4"})
	before := descriptors(t)
	for range 20 {
		scan1(t, dir)
	}
	ok(t, unix.Mkfifo(filepath.Join(dir, "a/b/pipe"), 0o666))
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for range 20 {
		Scan(context.Background(), dir)
		Scan(cancelled, dir)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors were open before, %d are now", before, after)
	}
}

func TestScanOfWhatMayNotBeRead(t *testing.T) {
	asNobody(t)
	for _, name := range []string{"file", "dir/"} {
		dir := t.TempDir()
		plant(t, dir, map[string]string{"odd\nname/" + name: ""})
		path := filepath.Join(dir, "odd\nname", name)
		ok(t, os.Chmod(path, 0))
		_, err := Scan(context.Background(), dir)
		is(t, err, fs.ErrPermission)
		if want := `"odd\nname/` + strings.TrimSuffix(name, "/") + `"`; !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %s", err, want)
		}
		ok(t, os.Chmod(path, 0o700))
	}
}

func TestScanOfNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	_, err := Scan(context.Background(), dir)
	is(t, err, fs.ErrNotExist)
	if !strings.Contains(err.Error(), dir) {
		t.Errorf("%q does not name the root", err)
	}
}

func TestScanOfHoles(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, map[string]string{"sparse": "", "full": string(make([]byte, 1<<20+7))})
	ok(t, os.Truncate(filepath.Join(dir, "sparse"), 1<<20+7))
	got := scan1(t, dir).Entries
	if got[1].Sum != got[2].Sum || got[2].Size != 1<<20+7 {
		t.Errorf("got %+v", got)
	}
}

func TestScanEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, map[string]string{"huge": ""})
	if err := os.Truncate(filepath.Join(dir, "huge"), 1<<42); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	soon(t, func() {
		_, err := Scan(ctx, dir)
		is(t, err, context.DeadlineExceeded)
	})
}

// Between the look at a file and its opening, something else takes its name.
func TestScanNoticesASwappedFile(t *testing.T) {
	for name, swap := range map[string]func(path, outside string) error{
		"another file": func(path, outside string) error { return os.Rename(outside, path) },
		"a FIFO":       func(path, _ string) error { os.Remove(path); return unix.Mkfifo(path, 0o666) },
		"a directory":  func(path, _ string) error { os.Remove(path); return os.Mkdir(path, 0o755) },
		"a link to another file": func(path, outside string) error {
			os.Remove(path)
			return os.Symlink(outside, path)
		},
		"a link to itself": func(path, outside string) error {
			ok(t, os.Rename(path, outside))
			return os.Symlink(outside, path)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "other")
			plant(t, dir, map[string]string{"f": "1"})
			ok(t, os.WriteFile(outside, []byte("2"), 0o644))
			soon(t, func() {
				_, err := walk(context.Background(), dir, func() visitor[struct{}] {
					return func(_ context.Context, o *object) (none struct{}, err error) {
						if o.path != "." {
							ok(t, swap(filepath.Join(dir, "f"), outside))
							_, err = o.open()
						}
						return none, err
					}
				})
				if !errors.Is(err, ErrChanged) && !errors.Is(err, unix.ELOOP) {
					t.Errorf("error is %v", err)
				}
			})
		})
	}
}
