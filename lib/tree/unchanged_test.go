package tree

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// plantedDeep has what a tree can have, with a directory of several parts and one that is empty.
func plantedDeep(t *testing.T, dir string) {
	t.Helper()
	files := map[string]string{"a": "alpha", "sub/b": "beta", "sub/below/c": "gamma", "sub/link": "-> ../a", "empty/": "", "-": "", "zero": ""}
	for i := range partEntries + 10 {
		files["many/"+strings.Repeat("x", i%7)+string(rune('a'+i%26))+time.Duration(i).String()] = ""
	}
	plant(t, dir, files)
}

// inventoried plants a tree, and scans it through a cache when it has settled.
func inventoried(t *testing.T) (caches, dir string, digest string) {
	t.Helper()
	dir, caches = t.TempDir(), t.TempDir()
	if !keepsTimes(dir) {
		t.Skip("a file system whose directories are not trusted")
	}
	plantedDeep(t, dir)
	settle()
	return caches, dir, rescan(t, caches, dir).Digest()
}

func unchanged(t *testing.T, caches, dir string, options ...Option) bool {
	t.Helper()
	digest, is := Unchanged(context.Background(), caches, dir, options...)
	if want := scan1(t, dir, options...).Digest(); is && digest != want {
		t.Errorf("the digest is %s, want %s", digest, want)
	}
	return is
}

func TestUnchanged(t *testing.T) {
	caches, dir, digest := inventoried(t)
	for range 3 {
		if !unchanged(t, caches, dir) {
			t.Fatal("a tree that is the same is not recognized")
		}
	}
	if got := rescan(t, caches, dir).Digest(); got != digest || !unchanged(t, caches, dir) {
		t.Error("the second scan finds something else")
	}
}

// Each change is one after which the digest or a later Look may differ.
func TestUnchangedNoticesChanges(t *testing.T) {
	back := func(t *testing.T, path string, change func()) {
		t.Helper()
		info, err := os.Stat(path)
		ok(t, err)
		change()
		ok(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
	}
	for name, change := range map[string]func(t *testing.T, dir string){
		"a file is written to": func(t *testing.T, dir string) { ok(t, os.WriteFile(dir+"/sub/below/c", []byte("GAMMA"), 0)) },
		"a file is written to, its time put back": func(t *testing.T, dir string) {
			back(t, dir+"/a", func() { ok(t, os.WriteFile(dir+"/a", []byte("ALPHA"), 0)) })
		},
		"a file is replaced": func(t *testing.T, dir string) {
			back(t, dir, func() {
				back(t, dir+"/a", func() {
					ok(t, os.WriteFile(dir+"/other", []byte("ALPHA"), 0o644))
					ok(t, os.Rename(dir+"/other", dir+"/a"))
				})
			})
		},
		"a file is executable":   func(t *testing.T, dir string) { ok(t, os.Chmod(dir+"/a", 0o755)) },
		"a file is added":        func(t *testing.T, dir string) { ok(t, os.WriteFile(dir+"/sub/new", nil, 0o644)) },
		"a file is removed":      func(t *testing.T, dir string) { ok(t, os.Remove(dir+"/zero")) },
		"a file is renamed":      func(t *testing.T, dir string) { ok(t, os.Rename(dir+"/zero", dir+"/one")) },
		"a directory is added":   func(t *testing.T, dir string) { ok(t, os.Mkdir(dir+"/empty/new", 0o755)) },
		"a directory is removed": func(t *testing.T, dir string) { ok(t, os.Remove(dir+"/empty")) },
		"a directory is renamed": func(t *testing.T, dir string) { ok(t, os.Rename(dir+"/sub/below", dir+"/sub/beneath")) },
		"a link is replaced": func(t *testing.T, dir string) {
			back(t, dir+"/sub", func() {
				ok(t, os.Remove(dir+"/sub/link"))
				ok(t, os.Symlink("../b", dir+"/sub/link"))
			})
		},
		"a file is added, the directory's time put back": func(t *testing.T, dir string) {
			back(t, dir+"/empty", func() { ok(t, os.WriteFile(dir+"/empty/new", nil, 0o644)) })
		},
		"a directory is now a link to what it was": func(t *testing.T, dir string) {
			outside := filepath.Join(t.TempDir(), "sub")
			back(t, dir, func() {
				ok(t, os.Rename(dir+"/sub", outside))
				ok(t, os.Symlink(outside, dir+"/sub"))
			})
		},
		"the directory is replaced by a copy": func(t *testing.T, dir string) {
			ok(t, os.Rename(dir, dir+".old"))
			t.Cleanup(func() { os.RemoveAll(dir + ".old") })
			ok(t, os.Mkdir(dir, 0o755))
			plantedDeep(t, dir)
		},
		"the directory is a link to itself": func(t *testing.T, dir string) {
			ok(t, os.Rename(dir, dir+".old"))
			t.Cleanup(func() { os.RemoveAll(dir + ".old") })
			ok(t, os.Symlink(dir+".old", dir))
		},
	} {
		t.Run(name, func(t *testing.T) {
			caches, dir, _ := inventoried(t)
			change(t, dir)
			if _, is := Unchanged(context.Background(), caches, dir); is {
				t.Error("not noticed")
			}
		})
	}
}

// If a name is added to a directory in the tick in which it was last changed, its times stay as they are.
// So a directory that has just been changed is not trusted, nor are files and links.
func TestUnchangedDistrustsWhatIsNew(t *testing.T) {
	for name, touch := range map[string]func(t *testing.T, dir string){
		"directory": func(t *testing.T, dir string) {
			ok(t, os.WriteFile(dir+"/sub/new", nil, 0o644))
			ok(t, os.Remove(dir+"/sub/new"))
		},
		"root": func(t *testing.T, dir string) { ok(t, os.Chmod(dir, 0o700)) },
		"file": func(t *testing.T, dir string) { ok(t, os.WriteFile(dir+"/sub/b", []byte("beta"), 0)) },
		"link": func(t *testing.T, dir string) { ok(t, unix.Lchown(dir+"/sub/link", os.Getuid(), os.Getgid())) },
		"future": func(t *testing.T, dir string) {
			future := time.Now().Add(time.Hour)
			ok(t, os.Chtimes(dir+"/sub", future, future))
			settle()
		},
	} {
		t.Run(name, func(t *testing.T) {
			caches, dir, digest := inventoried(t)
			touch(t, dir)
			if got := rescan(t, caches, dir).Digest(); got != digest {
				t.Fatal("the digest is another one")
			}
			if unchanged(t, caches, dir) {
				t.Error("it was trusted")
			}
			if name == "future" {
				return
			}
			settle()
			rescan(t, caches, dir)
			if !unchanged(t, caches, dir) {
				t.Error("it is not trusted later")
			}
		})
	}
}

// A program that adds files without a pause is never a step ahead of the inventory.
func TestUnchangedCatchesNamesAddedWithinATick(t *testing.T) {
	caches, dir, _ := inventoried(t)
	trusted := 0
	for i := range 60 {
		if i%20 == 0 {
			settle()
		}
		rescan(t, caches, dir)
		if unchanged(t, caches, dir) {
			trusted++
		}
		path := filepath.Join(dir, "empty", time.Duration(i).String())
		ok(t, os.WriteFile(path, nil, 0o644))
		if unchanged(t, caches, dir) {
			t.Fatal("a new file was not noticed")
		}
		rescan(t, caches, dir)
		ok(t, os.Remove(path))
		ok(t, os.WriteFile(path+"+", nil, 0o644))
		unchanged(t, caches, dir)
	}
	if trusted == 0 {
		t.Error("nothing was ever trusted")
	}
}

func TestUnchangedOfAnotherTree(t *testing.T) {
	caches, dir, _ := inventoried(t)
	other := t.TempDir()
	plantedDeep(t, other)
	ok(t, os.WriteFile(other+"/a", []byte("ALPHA"), 0o644))
	settle()
	rescan(t, caches, other)
	data, err := os.ReadFile(inventoryFile(caches, other))
	ok(t, err)
	ok(t, os.WriteFile(inventoryFile(caches, dir), data, 0o600))
	if unchanged(t, caches, dir) {
		t.Error("the inventory of another tree was taken for this one's")
	}
	// A tree that takes the name of another one has its own inodes.
	ok(t, os.Rename(dir, dir+".old"))
	t.Cleanup(func() { os.RemoveAll(dir + ".old") })
	ok(t, os.Rename(other, dir))
	if unchanged(t, caches, dir) {
		t.Error("moving a directory is a change of it")
	}
}

func TestDamagedInventory(t *testing.T) {
	dir, caches := t.TempDir(), t.TempDir()
	plant(t, dir, planted)
	settle()
	rescan(t, caches, dir)
	if !unchanged(t, caches, dir) {
		t.Skip("a file system whose directories are not trusted")
	}
	file := inventoryFile(caches, dir)
	whole, err := os.ReadFile(file)
	ok(t, err)
	damaged := [][]byte{nil, []byte("x"), append(append([]byte(nil), whole...), 0)}
	for i := range whole {
		damaged = append(damaged, whole[:i])
		flipped := append([]byte(nil), whole...)
		flipped[i] ^= 1 << (i % 8)
		damaged = append(damaged, flipped)
	}
	for i, data := range damaged {
		ok(t, os.WriteFile(file, data, 0o600))
		if _, is := Unchanged(context.Background(), caches, dir); is {
			t.Fatalf("damage %d is not noticed", i)
		}
	}
	rescan(t, caches, dir)
	if !unchanged(t, caches, dir) {
		t.Error("the damaged inventory was not replaced")
	}
	ok(t, os.Remove(file))
	ok(t, unix.Mkfifo(file, 0o600))
	soon(t, func() {
		if _, is := Unchanged(context.Background(), caches, dir); is {
			t.Error("a FIFO was read")
		}
		rescan(t, caches, dir)
	})
	if !unchanged(t, caches, dir) {
		t.Error("the FIFO was not replaced")
	}
}

// What the options leave out or refuse is as with a scan.
func TestUnchangedWithOptions(t *testing.T) {
	caches, dir, _ := inventoried(t)
	ok(t, unix.Mkfifo(dir+"/sub/pipe", 0o666))
	own := filepath.Join(dir, "own")
	plant(t, own, map[string]string{"f": "1"})
	settle()
	scan := func(options ...Option) {
		t.Helper()
		c := settled(caches, dir)
		_, err := c.Scan(context.Background(), options...)
		ok(t, err)
		ok(t, c.Save())
	}
	scan(RecordSpecial(), Without(own))
	if !unchanged(t, caches, dir, RecordSpecial(), Without(own)) {
		t.Error("not recognized")
	}
	ok(t, os.WriteFile(own+"/g", nil, 0o644))
	if !unchanged(t, caches, dir, RecordSpecial(), Without(own)) {
		t.Error("what is left out was looked at")
	}
	for range 2 { // a FIFO that is used
		ok(t, unix.Utimes(dir+"/sub/pipe", []unix.Timeval{{Sec: time.Now().Unix()}, {Sec: time.Now().Unix()}}))
	}
	if !unchanged(t, caches, dir, RecordSpecial(), Without(own)) {
		t.Error("the times of a FIFO were compared")
	}
	if _, is := Unchanged(context.Background(), caches, dir, Without(own)); is {
		t.Error("a FIFO was accepted unasked")
	}
	if unchanged(t, caches, dir, RecordSpecial()) {
		t.Error("what is no more left out is missing")
	}
	if unchanged(t, caches, dir, RecordSpecial(), Without(own, dir+"/empty")) {
		t.Error("a directory is left out too late")
	}
}

func TestUnchangedEndsWithItsContext(t *testing.T) {
	caches, dir, _ := inventoried(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, is := Unchanged(ctx, caches, dir); is {
		t.Error("the context was not asked")
	}
}

func TestUnchangedClosesWhatItOpens(t *testing.T) {
	caches, dir, _ := inventoried(t)
	before := descriptors(t)
	for range 10 {
		unchanged(t, caches, dir)
	}
	ok(t, os.WriteFile(dir+"/many/new", nil, 0o644))
	for range 10 {
		unchanged(t, caches, dir)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors were open before, %d are now", before, after)
	}
}

// procfs changes what is in a directory and not its times.
func TestNoInventoryOfProc(t *testing.T) {
	if keepsTimes("/proc") {
		t.Error("procfs is trusted")
	}
}

// A mount changes no time of the directory above it.
func TestUnchangedNoticesMounts(t *testing.T) {
	caches, dir, _ := inventoried(t)
	other := t.TempDir()
	plant(t, other, map[string]string{"dir/": "", "file": ""})
	for at, what := range map[string]string{"empty": "dir", "zero": "file"} {
		at = filepath.Join(dir, at)
		if err := unix.Mount(filepath.Join(other, what), at, "", unix.MS_BIND, ""); err != nil {
			t.Skip("needs root: ", err)
		}
		_, is := Unchanged(context.Background(), caches, dir)
		ok(t, unix.Unmount(at, unix.MNT_DETACH))
		if is {
			t.Errorf("a mount on %s is not noticed", at)
		}
		if !unchanged(t, caches, dir) {
			t.Error("it is not recognized without the mount")
		}
	}
}
