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

// maxPath bounds the length of a path in bytes. The kernel takes no path of more
// than PATH_MAX, 4096, at once, but lets who descends step by step nest deeper
// without end. Each entry spells out its whole path, so without a bound a chain
// of some ten thousand directories would cost gigabytes of memory.
const maxPath = 4 * unix.PathMax

// ErrChanged says that an object was replaced, or a file written to, while it
// was looked at.
var ErrChanged = errors.New("changed while it was being read")

// folder is an open directory. It stays open until everything in it has been
// visited, so a walk holds about as many descriptors as it is levels above the
// objects that are being visited, and two in a chain of directories, whatever
// its depth.
type folder struct {
	fd      int
	prefix  string // of the paths of what it holds: "" or "a/b/"
	waiting atomic.Int64
}

func (f *folder) release() {
	if f.waiting.Add(-1) == 0 && f.fd != unix.AT_FDCWD {
		unix.Close(f.fd)
	}
}

// object is a name in an open directory, and once it is visited what fstatat(2)
// or fstat(2) said of it last.
type object struct {
	in   *folder
	name string
	path string
	stat unix.Stat_t
}

func (o *object) is(kind uint32) bool { return o.stat.Mode&unix.S_IFMT == kind }

// fail words an error. The root is called as the caller called it.
func (o *object) fail(verb string, err error) error {
	path := o.path
	if path == "." {
		path = o.name
	}
	return fmt.Errorf("cannot %s %q: %w", verb, path, err)
}

// open opens a regular file or a directory for reading and makes sure that it
// is the one that was looked at. A name has no slash, and the last component is
// not followed, so nothing outside the directory can be reached (openat2(2)
// would add nothing). O_NONBLOCK is for a FIFO that took the file's place.
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

// walker is a stack of objects that are still to be visited. Being a stack it
// finishes a directory before it opens the next.
type walker struct {
	mu      sync.Mutex
	changed sync.Cond
	todo    []*object
	busy    int // workers that may still add to todo
	failed  bool
}

// errPassOver is what a visitor returns for a directory whose content it does not
// want to see.
var errPassOver = errors.New("pass over")

// visitor is called for one object after another.
type visitor func(context.Context, *object) error

// walk visits root and everything below it, in no order but for a directory
// before what it holds, with as many goroutines as processors. Each has a
// visitor of its own, made by visit before the walk begins. A walk follows no
// symbolic link, root included, and ends with the first error.
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

// exchange takes what a worker found in its last object, and returns the next
// one, or nil if no more will come. It is one call, not two, because the lock
// is what the workers contend for.
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

// look visits one object and returns what it holds.
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

// list opens a directory and returns what it holds.
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

// readNames returns what getdents64(2) says of an open directory, "." and ".."
// left out.
func readNames(fd int) (names []string, err error) {
	buffer := make([]byte, 32<<10) // what glibc's readdir(3) takes at once
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

// restart repeats a system call that a signal interrupted. The runtime asks for
// SA_RESTART, but network and FUSE file systems do not always honour it.
func restart(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
