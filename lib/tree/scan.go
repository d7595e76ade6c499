package tree

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"
)

// SpecialError says that a FIFO, a socket or a device stands where only files,
// directories and symbolic links may. It was neither opened nor removed.
type SpecialError struct {
	// Path is relative to the root.
	Path string
	// Type holds type bits only, such as [fs.ModeNamedPipe].
	Type fs.FileMode
}

func (e *SpecialError) Error() string {
	return fmt.Sprintf("%q is a special file (%s): remove it first", e.Path, typeName(e.Type))
}

// Option changes what [Scan] and [Cache.Scan] accept.
type Option func(*scan)

// RecordSpecial has FIFOs, sockets and devices recorded by their type, unopened
// and without numbers, instead of refused with a [SpecialError]. Such a tree
// has a digest, but no manifest.
func RecordSpecial() Option { return func(s *scan) { s.special = true } }

// Without leaves out directories, themselves and all that they hold, wherever they
// stand below the root and whatever they are called there. One that does not exist
// is nowhere.
func Without(dirs ...string) Option {
	return func(s *scan) {
		for _, dir := range dirs {
			var stat unix.Stat_t
			if restart(func() error { return unix.Stat(dir, &stat) }) == nil {
				s.without = append(s.without, inode{uint64(stat.Dev), stat.Ino})
			}
		}
	}
}

// Scan returns the content of dir, hashed on all processors. No symbolic link
// is followed, dir itself included: a caller who means its target resolves it
// first. If dir is a regular file, the tree is that one entry.
//
// Scan refuses FIFOs, sockets and devices with a [SpecialError] unless told
// otherwise, paths of more than 16 KiB, and whatever it may not read; errors
// name the path and wrap the cause. It takes time for each byte of a file that
// a reader would get, holes included, until ctx is done. It changes nothing,
// access times perhaps aside. Of an object that is swapped for another under
// its hands it tells with [ErrChanged]; whoever writes to files meanwhile can
// have any mixture of old and new bytes hashed.
func Scan(ctx context.Context, dir string, options ...Option) (*Tree, error) {
	return new(scan).run(ctx, dir, options)
}

// scan is how one scan goes.
type scan struct {
	special bool
	still   bool   // a file that is written to meanwhile is an error
	cache   *Cache // nil, or where sums are looked up and remembered
	without []inode
}

func (s *scan) run(ctx context.Context, dir string, options []Option) (*Tree, error) {
	for _, option := range options {
		option(s)
	}
	var all []*gatherer
	err := walk(ctx, dir, func() visitor {
		g := &gatherer{scan: s, hash: sha256.New()}
		all = append(all, g)
		return g.visit
	})
	if err != nil {
		return nil, err
	}
	t := &Tree{}
	for _, g := range all {
		t.Entries = append(t.Entries, g.entries...)
		if s.cache != nil {
			s.cache.learn(g.sums)
		}
	}
	slices.SortFunc(t.Entries, func(a, b Entry) int { return comparePaths(a.Path, b.Path) })
	return t, nil
}

// gatherer is what one goroutine of a scan owns: it shares nothing, for with a
// cache an object takes hardly longer than a lock.
type gatherer struct {
	*scan
	entries []Entry
	sums    []remembered
	hash    hash.Hash
	buffer  [256 << 10]byte // larger ones fall out of the processor's cache
}

func (g *gatherer) visit(ctx context.Context, o *object) (err error) {
	if o.is(unix.S_IFDIR) && o.path != "." && slices.Contains(g.without, inode{uint64(o.stat.Dev), o.stat.Ino}) {
		return errPassOver
	}
	e := Entry{Path: o.path, Mode: fileMode(o.stat.Mode)}
	switch o.stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		err = g.content(ctx, o, &e)
	case unix.S_IFLNK:
		e.Mode = fs.ModeSymlink | 0o777 // what Linux says, not all servers do
		e.Link, err = o.target()
	case unix.S_IFDIR:
	default:
		if !g.special {
			err = &SpecialError{Path: o.path, Type: e.Mode.Type()}
		}
	}
	g.entries = append(g.entries, e)
	return err
}

// content gives a regular file's entry its size and sum, from the cache if it
// knows them.
func (g *gatherer) content(ctx context.Context, o *object, e *Entry) error {
	if g.cache != nil {
		stamp := stampOf(&o.stat)
		if sum, ok := g.cache.known[stamp]; ok {
			e.Size, e.Sum = o.stat.Size, sum
			g.sums = append(g.sums, remembered{stamp, sum})
			return nil
		}
	}
	fd, err := o.open()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := g.read(ctx, fd, e); err != nil {
		return o.fail("read", err)
	}
	if g.cache != nil && g.cache.trusts(&o.stat) && e.Size == o.stat.Size {
		// The stamp is from before the first byte was read: what was changed
		// while it was read will not match. A size that is not what was read
		// is that of a file that grows, or of procfs.
		g.sums = append(g.sums, remembered{stampOf(&o.stat), e.Sum})
	}
	if g.still {
		return o.unchanged(fd, e.Size)
	}
	return nil
}

// read hashes a file to its end.
func (g *gatherer) read(ctx context.Context, fd int, e *Entry) error {
	g.hash.Reset()
	for ctx.Err() == nil {
		var n int
		err := restart(func() (err error) {
			n, err = unix.Read(fd, g.buffer[:])
			return err
		})
		if err != nil {
			return err
		}
		if n == 0 {
			g.hash.Sum(e.Sum[:0])
			return nil
		}
		g.hash.Write(g.buffer[:n])
		e.Size += int64(n)
	}
	return ctx.Err()
}

// unchanged makes sure that a file of which size bytes were read was not written
// to since it was opened.
func (o *object) unchanged(fd int, size int64) error {
	var now unix.Stat_t
	err := restart(func() error { return unix.Fstat(fd, &now) })
	if err == nil && (size != now.Size || o.stat.Mtim != now.Mtim) {
		err = ErrChanged
	}
	if err != nil {
		return o.fail("read", err)
	}
	return nil
}

// target returns where a symbolic link leads. symlink(2) takes no target of
// PATH_MAX bytes or more, but a file system may hold what it never made.
func (o *object) target() (string, error) {
	if o.path == "." {
		return "", o.fail("read", errors.New("it is a symbolic link"))
	}
	buffer := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(o.in.fd, o.name, buffer)
	switch {
	case err != nil:
		return "", o.fail("read", err)
	case n == 0 || n == len(buffer):
		return "", o.fail("read", unix.ENAMETOOLONG)
	}
	return string(buffer[:n]), nil
}
