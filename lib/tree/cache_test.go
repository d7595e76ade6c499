package tree

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// settled opens a cache to which a file is old enough after a twentieth of a
// second: some ticks of any clock here, and short enough to wait for.
func settled(caches, dir string) *Cache {
	c := OpenCache(caches, dir)
	c.now = func() time.Time { return time.Now().Add(racy - settling) }
	return c
}

const settling = 50 * time.Millisecond

func settle() { time.Sleep(settling + 20*time.Millisecond) }

// rescan scans through a cache that was saved and opened again.
func rescan(t testing.TB, caches, dir string) *Tree {
	t.Helper()
	c := settled(caches, dir)
	got, err := c.Scan(context.Background())
	ok(t, err)
	ok(t, c.Save())
	return got
}

func TestCacheSparesReading(t *testing.T) {
	dir, caches := t.TempDir(), t.TempDir()
	plant(t, dir, planted)
	settle()
	want := rescan(t, caches, dir)
	if differences := scan1(t, dir).Compare(want); differences != nil {
		t.Fatal(differences)
	}
	c := settled(caches, dir)
	if n := c.known.distinct; n != 3 {
		t.Fatalf("%d files are remembered, want 3", n)
	}
	// A file that is not read cannot be known to be something else.
	for i := range uint32(3) {
		sum := [32]byte{42}
		copy(c.known.record(i)[stampSize:], sum[:])
	}
	got, err := c.Scan(context.Background())
	ok(t, err)
	for _, e := range got.Entries {
		if e.Mode.IsRegular() && e.Sum != [32]byte{42} {
			t.Errorf("%q was read", e.Path)
		}
	}
	if got.Bytes() != want.Bytes() {
		t.Errorf("%d bytes, want %d", got.Bytes(), want.Bytes())
	}
}

func TestCacheNoticesChanges(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"same size, time put back": func(path string) error {
			info, err := os.Stat(path)
			ok(t, err)
			ok(t, os.WriteFile(path, []byte("X"), 0))
			return os.Chtimes(path, info.ModTime(), info.ModTime())
		},
		"same size":  func(path string) error { return os.WriteFile(path, []byte("X"), 0) },
		"executable": func(path string) error { return os.Chmod(path, 0o755) },
		"another file of the same size and time": func(path string) error {
			info, err := os.Stat(path)
			ok(t, err)
			ok(t, os.WriteFile(path+"~", []byte("X"), 0o644))
			ok(t, os.Chtimes(path+"~", info.ModTime(), info.ModTime()))
			return os.Rename(path+"~", path)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, caches := t.TempDir(), t.TempDir()
			plant(t, dir, planted)
			settle()
			before := rescan(t, caches, dir)
			ok(t, change(filepath.Join(dir, "a")))
			got := rescan(t, caches, dir)
			if got.Digest() == before.Digest() {
				t.Error("not noticed")
			}
			if differences := scan1(t, dir).Compare(got); differences != nil {
				t.Error(differences)
			}
		})
	}
}

// A second write within the same tick leaves the file looking the same, so a
// file that was just written is not remembered.
func TestCacheDistrustsWhatIsNew(t *testing.T) {
	dir, caches := t.TempDir(), t.TempDir()
	plant(t, dir, planted)
	c := OpenCache(caches, dir)
	_, err := c.Scan(context.Background())
	ok(t, err)
	ok(t, c.Save())
	if n := newSums(c.fresh).distinct; n != 0 {
		t.Errorf("%d new files are remembered", n)
	}
	// Nor is one whose times are in the future.
	settle()
	future := time.Now().Add(time.Hour)
	ok(t, os.Chtimes(filepath.Join(dir, "a"), future, future))
	settle()
	c = settled(caches, dir)
	_, err = c.Scan(context.Background())
	ok(t, err)
	if n := newSums(c.fresh).distinct; n != 2 {
		t.Errorf("%d files are remembered, want 2", n)
	}
}

func TestCacheCatchesWritesWithinATick(t *testing.T) {
	dir, caches := t.TempDir(), t.TempDir()
	plant(t, dir, map[string]string{"f": "0"})
	path := filepath.Join(dir, "f")
	info, err := os.Stat(path)
	ok(t, err)
	for i := range 300 {
		ok(t, os.WriteFile(path, []byte{'0' + byte(i%10)}, 0))
		ok(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
		if differences := scan1(t, dir).Compare(rescan(t, caches, dir)); differences != nil {
			t.Fatal(differences)
		}
	}
}

// Whatever is done to the files, the cache never shows.
func TestCacheNeverShows(t *testing.T) {
	dir, caches := t.TempDir(), t.TempDir()
	r := rand.New(rand.NewPCG(7, 7))
	name := func() string { return filepath.Join(dir, fmt.Sprint("d", r.IntN(3)), fmt.Sprint(r.IntN(8))) }
	for i := range 3 {
		ok(t, os.Mkdir(filepath.Join(dir, fmt.Sprint("d", i)), 0o755))
	}
	hits := 0
	for range 60 {
		for range r.IntN(4) {
			switch a, b := name(), name(); r.IntN(6) {
			case 0:
				os.Remove(a)
			case 1:
				os.Rename(a, b)
			case 2:
				os.Link(a, b)
			case 3:
				os.Chtimes(a, time.Unix(1, 0), time.Unix(1, 0))
			default:
				os.WriteFile(a, []byte{byte('0' + r.IntN(3))}, 0o644)
			}
		}
		if r.IntN(3) == 0 {
			settle()
		}
		got := rescan(t, caches, dir)
		if differences := scan1(t, dir).Compare(got); differences != nil {
			t.Fatal(differences)
		}
		hits += settled(caches, dir).known.distinct
	}
	if hits == 0 {
		t.Error("nothing was ever remembered")
	}
}

func TestCacheOfWhatIsMounted(t *testing.T) {
	dir, caches := t.TempDir(), t.TempDir()
	plant(t, dir, map[string]string{"hosts": "1"})
	ok(t, unix.Mkfifo(filepath.Join(dir, "pipe"), 0o666))
	settle()
	soon(t, func() {
		for range 2 {
			c := settled(caches, dir)
			got, err := c.Scan(context.Background(), RecordSpecial())
			ok(t, err)
			ok(t, c.Save())
			if paths(got) != ". hosts pipe" {
				t.Errorf("got %q", paths(got))
			}
		}
		for range 2 {
			if got := rescan(t, caches, filepath.Join(dir, "hosts")); paths(got) != "." || got.Bytes() != 1 {
				t.Errorf("got %+v", got)
			}
		}
	})
	if _, err := OpenCache(caches, dir).Scan(context.Background()); err == nil {
		t.Error("a FIFO was accepted unasked")
	}
}

// procfs tells a size of 0 and times that never change.
func TestCacheOfProc(t *testing.T) {
	caches := t.TempDir()
	c := settled(caches, "/proc/self/status")
	got, err := c.Scan(context.Background())
	ok(t, err)
	if got.Bytes() == 0 || len(c.fresh) != 0 {
		t.Errorf("%d bytes read, %d files remembered", got.Bytes(), len(c.fresh))
	}
}

func TestDamagedCacheIsEmpty(t *testing.T) {
	dir, caches := t.TempDir(), t.TempDir()
	plant(t, dir, planted)
	settle()
	want := rescan(t, caches, dir)
	file := OpenCache(caches, dir).file
	whole, err := os.ReadFile(file)
	ok(t, err)
	if decodeSums(whole).distinct == 0 {
		t.Fatal("nothing was remembered")
	}
	damaged := [][]byte{nil, []byte("x"), append(whole, 0)}
	for i := range whole {
		damaged = append(damaged, whole[:i])
		flipped := append([]byte(nil), whole...)
		flipped[i] ^= 1 << (i % 8)
		damaged = append(damaged, flipped)
	}
	for i, data := range damaged {
		if decodeSums(data).slots != nil {
			t.Fatalf("damage %d is not noticed", i)
		}
	}
	ok(t, os.WriteFile(file, whole[:len(whole)/2], 0o600))
	if differences := want.Compare(rescan(t, caches, dir)); differences != nil {
		t.Error(differences)
	}
	if OpenCache(caches, dir).known.distinct == 0 {
		t.Error("the damaged cache was not replaced")
	}
	ok(t, os.Remove(file))
	ok(t, os.Mkdir(file, 0o755)) // not even a file
	if c := OpenCache(caches, dir); c.known.slots != nil {
		t.Error("a directory was read")
	}
}

func TestCacheIsWrittenOnlyIfChanged(t *testing.T) {
	dir, caches := t.TempDir(), filepath.Join(t.TempDir(), "made", "here")
	plant(t, dir, planted)
	ok(t, OpenCache(caches, dir).Save()) // nothing was scanned
	settle()
	inode := func() uint64 {
		rescan(t, caches, dir)
		var s unix.Stat_t
		ok(t, unix.Stat(OpenCache(caches, dir).file, &s))
		return s.Ino<<20 ^ uint64(s.Ctim.Nano())
	}
	before := inode()
	if inode() != before {
		t.Error("an unchanged cache was written")
	}
	ok(t, os.Remove(filepath.Join(dir, "a")))
	if inode() == before {
		t.Error("a removed file is still remembered")
	}
	names, err := os.ReadDir(caches)
	ok(t, err)
	if len(names) != 2 { // sums and inventory
		t.Errorf("left behind: %v", names)
	}
}

func TestCacheSurvivesAFailedScan(t *testing.T) {
	dir, caches := t.TempDir(), t.TempDir()
	plant(t, dir, planted)
	settle()
	rescan(t, caches, dir)
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	c := settled(caches, dir)
	_, err := c.Scan(cancelled)
	is(t, err, context.Canceled)
	ok(t, c.Save())
	if n := OpenCache(caches, dir).known.distinct; n != 3 {
		t.Errorf("%d files are remembered, want 3", n)
	}
}

func TestCacheThatCannotBeSaved(t *testing.T) {
	dir, caches := t.TempDir(), t.TempDir()
	plant(t, dir, planted)
	settle()
	c := settled(caches, dir)
	ok(t, os.Mkdir(c.file, 0o755))
	_, err := c.Scan(context.Background())
	ok(t, err)
	if err := c.Save(); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("error is %v", err)
	}
	names, err := os.ReadDir(caches)
	ok(t, err)
	if len(names) != 1 {
		t.Errorf("left behind: %v", names)
	}
}

func TestCacheOfAnotherDirectory(t *testing.T) {
	caches := t.TempDir()
	if OpenCache(caches, "/a").file == OpenCache(caches, "/b").file {
		t.Error("two directories share a cache")
	}
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	ok(t, err)
	if OpenCache(caches, ".").file != OpenCache(caches, here).file {
		t.Error("a relative path has a cache of its own")
	}
}

// Processes scan and save at once; no reader ever sees a torn file.
func TestCacheOfManyProcesses(t *testing.T) {
	const key = "PIPEX_TEST_CACHE"
	if dir := os.Getenv(key); dir != "" {
		for i := range 50 {
			ok(t, os.WriteFile(filepath.Join(dir, fmt.Sprint(os.Getpid())), []byte{byte(i)}, 0o644))
			c := OpenCache(filepath.Join(dir, "..", "caches"), dir)
			c.now = func() time.Time { return time.Now().Add(time.Hour) }
			_, err := c.Scan(context.Background())
			ok(t, err)
			ok(t, c.Save())
		}
		return
	}
	dir := filepath.Join(t.TempDir(), "dir")
	plant(t, dir, planted)
	file := OpenCache(filepath.Join(dir, "..", "caches"), dir).file
	left := 0
	done := make(chan error)
	for ; left < 4; left++ {
		cmd := exec.Command(os.Args[0], "-test.run=^TestCacheOfManyProcesses$")
		cmd.Env = append(os.Environ(), key+"="+dir)
		go func() {
			out, err := cmd.CombinedOutput()
			if err != nil {
				err = fmt.Errorf("%w: %s", err, out)
			}
			done <- err
		}()
	}
	seen := 0
	for left > 0 {
		select {
		case err := <-done:
			left--
			ok(t, err)
		default:
			if data, err := os.ReadFile(file); err == nil {
				seen++
				if decodeSums(data).slots == nil {
					t.Fatal("torn")
				}
			}
		}
	}
	if seen == 0 {
		t.Error("the cache was never there")
	}
}
