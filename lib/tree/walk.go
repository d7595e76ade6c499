package tree

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"pipex/lib/internal/cores"
)

// maxPath is the greatest length of a path, in bytes. A path given to the kernel must be shorter than
// PATH_MAX, 4096, but directories can be nested without limit, one level at a time. Each entry holds
// its whole path, so without a limit a chain of ten thousand directories would need gigabytes.
const maxPath = 4 * unix.PathMax

// ErrChanged says that an object was replaced, or a file was written to, while it was read.
var ErrChanged = errors.New("changed while it was being read")

// folder is an open directory. It stays open until all objects in it have been visited, and the
// directories in it opened. So a walk needs about as many descriptors as there are levels with objects
// to be visited, and only two for a chain of directories of any depth.
type folder struct {
	fd      int
	prefix  string // the prefix of the paths in it: "" or "a/b/"
	waiting atomic.Int64
}

// release says that n objects need the folder no more.
func (f *folder) release(n int) {
	if n > 0 && f.waiting.Add(-int64(n)) == 0 && f.fd != unix.AT_FDCWD {
		unix.Close(f.fd)
	}
}

// object is a name in an open directory and the last result of fstatat(2) or fstat(2) for it. It is
// valid only during the call of the visitor.
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

// listing is a directory whose names have been read, and what a walk has found there.
type listing[T any] struct {
	folder
	paths []string      // of the objects in it, sorted by name
	found []T           // what the visitor returned for each
	below []*listing[T] // the content of those that are directories
}

// each calls f with what the visitor returned for each object, sorted by path.
func (l *listing[T]) each(f func(*T)) {
	var waiting []int // directories whose content comes later: "a-" stands between "a" and "a/b"
	emit := func() {
		last := len(waiting) - 1
		below := l.below[waiting[last]]
		waiting = waiting[:last]
		below.each(f)
	}
	for i, path := range l.paths {
		for len(waiting) > 0 && contentBefore(l.paths[waiting[len(waiting)-1]], path) {
			emit()
		}
		f(&l.found[i])
		if l.below[i] != nil {
			waiting = append(waiting, i)
		}
	}
	for len(waiting) > 0 {
		emit()
	}
}

// contentBefore reports whether what is in dir is sorted before path, which is after dir itself.
func contentBefore(dir, path string) bool {
	return !strings.HasPrefix(path, dir) || path[len(dir)] > '/'
}

// count returns the number of objects in l and below.
func (l *listing[T]) count() int {
	n := len(l.paths)
	for _, below := range l.below {
		if below != nil {
			n += below.count()
		}
	}
	return n
}

// task is a part of a walk: a directory to be listed, or some objects in it to be visited.
type task[T any] struct {
	in        *listing[T]
	from, to  int
	directory *object // if not nil, in.paths[from] is this directory
}

// walker is a stack of tasks. With a stack, a walk finishes a directory before it opens the next one.
type walker[T any] struct {
	mu       sync.Mutex
	changed  sync.Cond
	todo     []task[T]
	busy     int // workers that may still add to todo
	failed   bool
	passOver func(path string, err error) bool // nil for a walk that keeps what it finds; see glide
	idle     atomic.Int32                      // workers that wait for a task; changed under mu
}

// errPassOver is returned by a visitor for a directory whose content must be skipped.
var errPassOver = errors.New("pass over")

// visitor is called once for each object.
type visitor[T any] func(context.Context, *object) (T, error)

// walk visits root and everything below it, a directory before its content and otherwise in any order,
// and returns what the visitor returned, for [listing.each]. It uses as many goroutines as there are
// processors. visit is called once for each before the walk begins, and makes its visitor. A walk
// follows no symbolic link, not even root, and ends with the first error; then objects that were not
// visited have the zero value.
func walk[T any](ctx context.Context, root string, visit func() visitor[T]) (*listing[T], error) {
	return start(ctx, root, visit, nil)
}

// glide is walk for a tree in which others write, or which is too large to be kept: it returns nothing,
// and asks passOver of each object that cannot be read, or directory that cannot be listed, whether to go on
// without it. Goroutines call passOver at the same time.
func glide(ctx context.Context, root string, visit visitor[struct{}], passOver func(path string, err error) bool) error {
	_, err := start(ctx, root, func() visitor[struct{}] { return visit }, passOver)
	return err
}

func start[T any](ctx context.Context, root string, visit func() visitor[T], passOver func(string, error) bool) (*listing[T], error) {
	workers := cores.All()
	top := &listing[T]{folder: folder{fd: unix.AT_FDCWD}, paths: []string{"."}, found: make([]T, 1), below: make([]*listing[T], 1)}
	top.waiting.Store(1)
	w := &walker[T]{passOver: passOver, busy: workers, todo: []task[T]{{in: top, to: 1}}}
	w.changed.L = &w.mu
	g, ctx := errgroup.WithContext(ctx)
	for range workers {
		v := visit()
		g.Go(func() error { return w.work(ctx, root, v) })
	}
	err := g.Wait()
	for _, t := range w.todo {
		t.in.release(t.to - t.from)
	}
	return top, err
}

func (w *walker[T]) work(ctx context.Context, root string, visit visitor[T]) (err error) {
	o := &object{name: root} // only the first object has this name
	var more []task[T]
	for t, ok := w.exchange(nil, nil); ok; t, ok = w.exchange(more, err) {
		more, err = w.do(ctx, t, o, visit)
	}
	return err
}

// exchange takes the tasks that a worker's last one has led to, and returns the next one, or false if
// there will be no more. It does both under one lock, since the workers compete for that lock.
func (w *walker[T]) exchange(more []task[T], err error) (t task[T], ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy--
	w.failed = w.failed || err != nil
	w.add(more...)
	if w.busy == 0 || w.failed {
		w.changed.Broadcast()
	}
	for len(w.todo) == 0 && w.busy > 0 && !w.failed {
		w.idle.Add(1)
		w.changed.Wait()
	}
	if len(w.todo) == 0 || w.failed {
		return t, false
	}
	w.busy++
	last := len(w.todo) - 1
	t = w.todo[last]
	w.todo[last] = task[T]{}
	w.todo = w.todo[:last]
	return t, true
}

// add adds tasks, and wakes the workers that wait for one. The caller holds mu.
func (w *walker[T]) add(more ...task[T]) {
	w.todo = append(w.todo, more...)
	if len(more) > 0 && w.idle.Load() > 0 {
		w.idle.Store(0)
		w.changed.Broadcast()
	}
}

// slow is from which size on, in bytes, a file that is read takes so long that others in the same
// directory are left to other workers at once.
const slow = 64 << 10

// do does a task, and returns those that it leads to. It gives a part of the task away if another
// worker has nothing to do.
func (w *walker[T]) do(ctx context.Context, t task[T], o *object, visit visitor[T]) (more []task[T], err error) {
	if t.directory != nil {
		below, err := w.list(t.directory)
		t.in.release(1)
		if err != nil && w.passOver != nil && w.passOver(t.directory.path, err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if w.passOver == nil {
			t.in.below[t.from] = below
		}
		t = task[T]{in: below, to: len(below.paths)}
	}
	l, done := t.in, 0
	defer func() {
		if err != nil {
			done = t.to - t.from - len(more)
			for _, m := range more {
				m.in.release(1)
			}
			more = nil
		}
		l.release(done)
	}()
	give := func(i int) {
		w.mu.Lock()
		w.add(task[T]{in: l, from: i, to: t.to})
		w.mu.Unlock()
		t.to = i
	}
	for i := t.from; i < t.to; i++ {
		if err := ctx.Err(); err != nil {
			return more, err
		}
		if left := t.to - i; left > 1 && w.idle.Load() > 0 {
			give(t.to - left/2)
		}
		o.in, o.path = &l.folder, l.paths[i]
		if l.fd != unix.AT_FDCWD {
			o.name = o.path[len(l.prefix):]
		}
		err := restart(func() error { return unix.Fstatat(o.in.fd, o.name, &o.stat, unix.AT_SYMLINK_NOFOLLOW) })
		if err != nil {
			if err = o.fail("read", err); w.passOver != nil && w.passOver(o.path, err) {
				done++
				continue
			}
			return more, err
		}
		if i+1 < t.to && o.stat.Size >= slow && o.is(unix.S_IFREG) {
			give(i + 1)
		}
		l.found[i], err = visit(ctx, o)
		switch {
		case err == nil && o.is(unix.S_IFDIR):
			directory := *o
			more = append(more, task[T]{in: l, from: i, to: i + 1, directory: &directory})
		case err == nil, err == errPassOver:
			done++
		default:
			return more, err
		}
	}
	return more, nil
}

// list opens a directory and reads the names in it.
func (w *walker[T]) list(o *object) (*listing[T], error) {
	fd, err := o.open()
	if err != nil {
		return nil, err
	}
	l := &listing[T]{folder: folder{fd: fd}}
	l.waiting.Store(1)
	defer l.release(1)
	if o.path != "." {
		l.prefix = o.path + "/"
	}
	if l.paths, err = readPaths(fd, l.prefix); err != nil {
		return nil, o.fail("list", err)
	}
	for _, path := range l.paths {
		if len(path) > maxPath {
			return nil, fmt.Errorf("cannot read %.100q...: its path is longer than %d bytes: %w", path, maxPath, unix.ENAMETOOLONG)
		}
	}
	l.found, l.below = make([]T, len(l.paths)), make([]*listing[T], len(l.paths))
	l.waiting.Add(int64(len(l.paths)))
	return l, nil
}

// readPaths returns the names in an open directory, sorted, and with a prefix.
func readPaths(fd int, prefix string) (paths []string, err error) {
	err = readDirectory(fd, func(e entry) { paths = append(paths, prefix+string(e.name)) })
	slices.SortFunc(paths, func(a, b string) int { return strings.Compare(a[len(prefix):], b[len(prefix):]) })
	return paths, err
}

// entry is a name in a directory and its type (DT_DIR, DT_REG and so on), or DT_UNKNOWN.
type entry struct {
	name []byte // valid during the call
	kind uint8
}

// readDirectory calls f for each name in an open directory (getdents64(2)), without "." and "..".
func readDirectory(fd int, f func(entry)) error {
	buffer := make([]byte, 32<<10) // as glibc's readdir(3)
	for {
		var n int
		err := restart(func() (err error) {
			n, err = unix.ReadDirent(fd, buffer)
			return err
		})
		if err != nil || n <= 0 {
			return err
		}
		// linux_dirent64: 8 bytes inode, 8 offset, 2 length of the record, 1 type, the name, zeros.
		const typeAt, nameAt = 18, 19
		for rest := buffer[:n]; len(rest) > nameAt; {
			record := rest[:binary.NativeEndian.Uint16(rest[16:])]
			rest = rest[len(record):]
			name, _, _ := bytes.Cut(record[nameAt:], []byte{0})
			if string(name) != "." && string(name) != ".." {
				f(entry{name, record[typeAt]})
			}
		}
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
