package tree

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// plant makes files below dir: a name that ends in / is a directory, one that
// ends in * can be executed, content that begins with "-> " is a link's target.
func plant(t testing.TB, dir string, content map[string]string) {
	t.Helper()
	for name, text := range content {
		path := filepath.Join(dir, strings.TrimSuffix(name, "*"))
		target, isLink := strings.CutPrefix(text, "-> ")
		mode := os.FileMode(0o644)
		if strings.HasSuffix(name, "*") {
			mode = 0o755
		}
		ok(t, os.MkdirAll(filepath.Dir(path), 0o755))
		switch {
		case strings.HasSuffix(name, "/"):
			ok(t, os.MkdirAll(path, 0o755))
		case isLink:
			ok(t, os.Symlink(target, path))
		default:
			ok(t, os.WriteFile(path, []byte(text), mode))
			ok(t, os.Chmod(path, mode)) // whatever the umask
		}
	}
}

// everyName is a name of each byte that a name can hold, in some company.
func everyName() []string {
	var names []string
	for c := 1; c < 256; c++ {
		if c != '/' {
			names = append(names, "x"+string([]byte{byte(c)}))
			if c != '.' {
				names = append(names, string([]byte{byte(c)}))
			}
		}
	}
	return append(names, "line\nline", "..x", "...", "[a-z]*?", `\`+`\\`, "\xff*", "*\xff", strings.Repeat("\xfe", 255))
}

func scan1(t testing.TB, dir string, options ...Option) *Tree {
	t.Helper()
	content, err := Scan(context.Background(), dir, options...)
	ok(t, err)
	return content
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func is(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
}

func paths(t *Tree) string {
	var all []string
	for _, e := range t.Entries {
		all = append(all, e.Path)
	}
	return strings.Join(all, " ")
}

// soon fails the test if f hangs, as the open of a FIFO would.
func soon(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		panic("still not done after 20 s") // a t.Fatal would wait for f
	}
}

// descriptors is how many are open in this process.
func descriptors(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	ok(t, err)
	return len(names)
}

// asNobody runs the rest of the test without root's privileges.
func asNobody(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	const nobody = 65534
	ok(t, syscall.Setresuid(-1, nobody, -1))
	t.Cleanup(func() { ok(t, syscall.Setresuid(-1, 0, -1)) })
}

// chain nests directories of that name and returns a descriptor of the last.
func chain(t *testing.T, dir, name string, depth int) int {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	ok(t, err)
	for range depth {
		ok(t, unix.Mkdirat(fd, name, 0o755))
		next, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		ok(t, err)
		unix.Close(fd)
		fd = next
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// sealTree seals and syncs a directory. What Seal returns as its glance is what a glance sees.
func sealTree(dir string) (*Tree, error) {
	s, err := Seal(context.Background(), dir)
	if err == nil {
		err = s.Sync(context.Background())
	}
	if err != nil {
		return nil, err
	}
	if now, err := Glance(context.Background(), dir); err != nil || now != s.Glance {
		return nil, errors.Join(err, errors.New("a glance sees something else"))
	}
	return s.Tree, nil
}
