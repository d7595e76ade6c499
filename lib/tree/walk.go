package tree

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// maxPath is the greatest length of a path, in bytes. A path given to the kernel must be shorter than
// PATH_MAX, 4096, but directories can be nested without limit, one level at a time. Each entry holds
// its whole path, so without a limit a chain of ten thousand directories would need gigabytes.
const maxPath = 4 * unix.PathMax

// ErrChanged says that an object was replaced, or a file was written to, while it was read.
var ErrChanged = errors.New("changed while it was being read")

// folder is an open directory. It stays open until everything directly in it has been visited. So a
// walk needs about as many descriptors as there are levels with unvisited objects, and only two for a
// chain of directories of any depth.
type folder struct {
	fd      int
	prefix  string // the prefix of the paths in it: "" or "a/b/"
	waiting atomic.Int64
}

func (f *folder) release() {
	if f.waiting.Add(-1) == 0 && f.fd != unix.AT_FDCWD {
		unix.Close(f.fd)
	}
}

// object is a name in an open directory and, once it is visited, the last result of fstatat(2) or
// fstat(2) for it.
type object struct {
	in   *folder
	name string
	path string
	stat unix.Stat_t
}

func (o *object) is(kind uint32) bool { return o.stat.Mode&unix.S_IFMT == kind }

// fail returns an error with the object's path. For the root that is the path that the caller gave.
func (o *object) fail(verb string, err error) error {
	path := o.path
	if path == "." {
		path = o.name
	}
	return fmt.Errorf("cannot %s %q: %w", verb, path, err)
}

// open opens a regular file or a directory for reading, and checks that it is the object that fstatat(2)
// has reported. A name has no slash and a link is not followed, so nothing outside the directory can be
// reached; openat2(2) is not needed. With O_NONBLOCK, a FIFO that has replaced the file does not block.
func (o *object) open() (fd int, err error) {
	err = restart(func() (err error) {
		fd, err = unix.Openat(o.in.fd, o.name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return -1, o.fail("open", err)
	}
	var now unix.Stat_t
	err = restart(func() error { return unix.Fstat(fd, &now) })
	if err == nil && (now.Dev != o.stat.Dev || now.Ino != o.stat.Ino || now.Mode&unix.S_IFMT != o.stat.Mode&unix.S_IFMT) {
		err = ErrChanged
	}
	if err != nil {
		unix.Close(fd)
		return -1, o.fail("open", err)
	}
	o.stat = now
	return fd, nil
}

// walker is a stack of the objects that are still to be visited. With a stack, a walk finishes a
// directory before it opens the next one.
type walker struct {
	mu      sync.Mutex
	changed sync.Cond
	todo    []*object
	busy    int // workers that may still add to todo
	failed  bool
}

// errPassOver is returned by a visitor for a directory whose content must be skipped.
var errPassOver = errors.New("pass over")

// visitor is called once for each object.
type visitor func(context.Context, *object) error

// walk visits root and everything below it, a directory before its content and otherwise in any order.
// It uses as many goroutines as there are processors. visit is called once for each before the walk
// begins, and makes its visitor. A walk follows no symbolic link, not even root, and ends with the
// first error.
func walk(ctx context.Context, root string, visit func() visitor) error {
	workers := runtime.GOMAXPROCS(0)
	w := &walker{busy: workers}
	w.changed.L = &w.mu
	w.todo = []*object{{in: &folder{fd: unix.AT_FDCWD}, name: root, path: "."}}
	g, ctx := errgroup.WithContext(ctx)
	for range workers {
		v := visit()
		g.Go(func() error { return w.work(ctx, v) })
	}
	err := g.Wait()
	for _, o := range w.todo {
		o.in.release()
	}
	return err
}

func (w *walker) work(ctx context.Context, visit visitor) (err error) {
	var below []*object
	for o := w.exchange(nil, nil); o != nil; o = w.exchange(below, err) {
		below, err = o.look(ctx, visit)
	}
	return err
}

// exchange takes what a worker found in its last object, and returns the next object, or nil if there
// will be no more. It does both under one lock, since the workers compete for that lock.
func (w *walker) exchange(below []*object, err error) *object {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy--
	w.todo = append(w.todo, below...)
	w.failed = w.failed || err != nil
	if len(below) > 0 || w.busy == 0 || w.failed {
		w.changed.Broadcast()
	}
	for len(w.todo) == 0 && w.busy > 0 && !w.failed {
		w.changed.Wait()
	}
	if len(w.todo) == 0 || w.failed {
		return nil
	}
	w.busy++
	last := len(w.todo) - 1
	o := w.todo[last]
	w.todo = w.todo[:last]
	return o
}

// look visits one object and returns the objects in it.
func (o *object) look(ctx context.Context, visit visitor) ([]*object, error) {
	defer o.in.release()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err := restart(func() error { return unix.Fstatat(o.in.fd, o.name, &o.stat, unix.AT_SYMLINK_NOFOLLOW) })
	if err != nil {
		return nil, o.fail("read", err)
	}
	err = visit(ctx, o)
	if err == errPassOver {
		return nil, nil
	}
	if err != nil || !o.is(unix.S_IFDIR) {
		return nil, err
	}
	return o.list()
}

// list opens a directory and returns the objects in it.
func (o *object) list() ([]*object, error) {
	fd, err := o.open()
	if err != nil {
		return nil, err
	}
	dir := &folder{fd: fd}
	dir.waiting.Store(1)
	defer dir.release()
	if o.path != "." {
		dir.prefix = o.path + "/"
	}
	names, err := readNames(fd)
	if err != nil {
		return nil, o.fail("list", err)
	}
	below := make([]*object, len(names))
	for i, name := range names {
		path := dir.prefix + name
		if len(path) > maxPath {
			return nil, fmt.Errorf("cannot read %.100q...: its path is longer than %d bytes: %w", path, maxPath, unix.ENAMETOOLONG)
		}
		below[i] = &object{in: dir, name: path[len(dir.prefix):], path: path}
	}
	dir.waiting.Add(int64(len(below)))
	return below, nil
}

// readNames returns the names in an open directory (getdents64(2)), without "." and "..".
func readNames(fd int) (names []string, err error) {
	buffer := make([]byte, 32<<10) // as glibc's readdir(3)
	for {
		var n int
		err := restart(func() (err error) {
			n, err = unix.ReadDirent(fd, buffer)
			return err
		})
		if err != nil || n <= 0 {
			return names, err
		}
		_, _, names = unix.ParseDirent(buffer[:n], -1, names)
	}
}

// restart repeats a system call that a signal has interrupted. Go's runtime sets SA_RESTART, but network
// and FUSE file systems do not always obey it.
func restart(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
