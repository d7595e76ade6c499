package tree

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"pipex/lib/progress"
)

// SpecialError says that there is a FIFO, a socket or a device where only files, directories and
// symbolic links are allowed. It was neither opened nor removed.
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

// RecordSpecial records FIFOs, sockets and devices by their type instead of refusing them with a
// [*SpecialError]. They are not opened, and device numbers are not recorded. Such a tree has a
// digest, but no manifest.
func RecordSpecial() Option { return func(s *scan) { s.special = true } }

// Without leaves out directories and everything below them. They are recognized by device and
// inode, so their names below the root do not matter. A directory that does not exist is ignored.
func Without(dirs ...string) Option {
	return func(s *scan) {
		for _, dir := range dirs {
			if found, ok := find(dir); ok {
				s.without = append(s.without, found)
				continue
			}
			// If dir is created later, that changes the times of the directory above it.
			for above := filepath.Dir(dir); ; above = filepath.Dir(above) {
				if found, ok := find(above); ok {
					s.parents = append(s.parents, found)
				} else if above != filepath.Dir(above) {
					continue
				}
				break
			}
		}
	}
}

// find returns the inode of a directory.
func find(dir string) (inode, bool) {
	var stat unix.Stat_t
	err := restart(func() error { return unix.Stat(dir, &stat) })
	return inode{uint64(stat.Dev), stat.Ino}, err == nil
}

// Scan returns the content of dir, hashed on all processors. It follows no symbolic link, not
// even dir itself: resolve it first if you mean its target. If dir is a regular file, the tree is
// that one entry.
//
// Scan refuses FIFOs, sockets and devices with a [*SpecialError], unless an option says otherwise,
// paths of more than 16 KiB, and what it may not read. Errors name the path and wrap the cause.
// Holes in files take as long as data. Scan ends when ctx does. It changes nothing, except perhaps
// access times. If an object is replaced during the scan, the error is [ErrChanged]. If a file is
// written to during the scan, its sum may be of a mixture of old and new bytes.
func Scan(ctx context.Context, dir string, options ...Option) (*Tree, error) {
	return new(scan).run(ctx, dir, options)
}

// scan holds the settings of one scan.
type scan struct {
	special bool
	cache   *Cache // where sums are looked up and stored; may be nil
	without []inode
	parents []inode   // of directories to be left out that do not exist yet
	stamps  *Stamps   // what is seen is added here; may be nil
	since   time.Time // objects that were changed later are recent; for stamps
}

// leavesOut reports whether a directory is left out.
func (s *scan) leavesOut(o *object) bool {
	return slices.Contains(s.without, inode{uint64(o.stat.Dev), o.stat.Ino})
}

func (s *scan) run(ctx context.Context, dir string, options []Option) (*Tree, error) {
	defer progress.Begin("reading", "file").End()
	for _, option := range options {
		option(s)
	}
	var all []*gatherer
	seen, err := walk(ctx, dir, func() visitor[sighting] {
		g := &gatherer{scan: s, hash: sha256.New()}
		all = append(all, g)
		return g.visit
	})
	if err != nil {
		return nil, err
	}
	n := seen.count()
	t := &Tree{Entries: make([]Entry, 0, n)}
	if s.stamps != nil {
		s.stamps.objects = slices.Grow(s.stamps.objects, n)
	}
	seen.each(func(is *sighting) {
		if is.flags&own == 0 {
			t.Entries = append(t.Entries, is.entry())
		}
		if s.stamps != nil {
			s.stamps.objects = append(s.stamps.objects, is.stamped)
		}
	})
	if s.cache != nil {
		s.cache.learn(all)
		s.cache.inventory = s.inventory(dir, seen, t)
	}
	return t, nil
}

// sighting is what a scan sees of an object: what it looked like before its content was read, and the
// content.
type sighting struct {
	stamped
	dev  uint64
	size int64  // how many bytes were read
	link string // the target of a symbolic link
}

func (is *sighting) entry() Entry {
	e := Entry{Path: is.path, Mode: fileMode(uint32(is.stamp[stampMode])), Size: is.size, Link: is.link}
	if is.link != "" {
		e.Mode = fs.ModeSymlink | 0o777 // as on Linux; some file servers report other modes
	} else if e.Mode.IsRegular() {
		e.Sum = is.sum
	}
	return e
}

// gatherer is the state of one goroutine of a scan. Goroutines share nothing: with a cache,
// visiting an object takes hardly longer than taking a lock.
type gatherer struct {
	*scan
	hits   []uint32     // the records of the cache that were used
	sums   []remembered // the sums that it does not have
	hash   hash.Hash
	buffer [256 << 10]byte // a larger one does not fit into the processor's cache
	pieces [2][]byte       // of large files; with smaller pieces, the goroutines' waking takes longer
}

func (g *gatherer) visit(ctx context.Context, o *object) (is sighting, err error) {
	if o.is(unix.S_IFDIR) && o.path != "." && g.leavesOut(o) {
		is.path, is.flags = o.path, own
		return is, errPassOver
	}
	is.stamped, is.dev = g.stampObject(o), uint64(o.stat.Dev) // from before the content is read
	switch o.stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		err = g.content(ctx, o, &is)
	case unix.S_IFLNK:
		is.link, err = o.target()
		if g.stamps != nil {
			is.sum = sha256.Sum256([]byte(is.link))
		}
	case unix.S_IFDIR:
	default:
		if !g.special {
			err = &SpecialError{Path: o.path, Type: fileMode(o.stat.Mode).Type()}
		}
	}
	return is, err
}

// content sets the size and sum of a regular file, from the cache if they are there.
func (g *gatherer) content(ctx context.Context, o *object, is *sighting) error {
	if g.cache != nil {
		if i, ok := g.cache.known.find(stampOf(&o.stat)); ok {
			is.size, is.sum = o.stat.Size, g.cache.known.sum(i)
			g.hits = append(g.hits, i)
			progress.Add("file", 1, is.size)
			return nil
		}
	}
	fd, err := o.open()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if is.size, is.sum, err = g.read(ctx, fd, o.stat.Size); err != nil {
		return o.fail("read", err)
	}
	if g.cache != nil && g.cache.trusts(&o.stat) && is.size == o.stat.Size {
		// The stamp is from before the first byte was read, so a file that was changed
		// while it was read will not match it. The size differs from what was read if
		// the file grows, or in procfs.
		g.sums = append(g.sums, remembered{stampOf(&o.stat), is.sum})
	}
	return nil
}

// read hashes a file to its end, and returns how many bytes it has read. expected is the file's size as
// far as known. A large file is read by another goroutine while this one hashes, since to copy it from
// the kernel takes an eighth of the time that its sum takes.
func (g *gatherer) read(ctx context.Context, fd int, expected int64) (size int64, sum [sha256.Size]byte, err error) {
	g.hash.Reset()
	if expected >= largeFile {
		size, err = g.readAhead(ctx, fd)
	} else {
		for n := 1; n > 0 && err == nil; size += int64(n) {
			n, err = readPiece(ctx, fd, g.buffer[:])
			g.hash.Write(g.buffer[:n])
			progress.Add("file", 0, int64(n))
		}
	}
	if err != nil {
		return 0, sum, err
	}
	g.hash.Sum(sum[:0])
	progress.Add("file", 1, 0)
	return size, sum, nil
}

// readAhead hashes a file to its end, and reads one piece while it hashes another.
func (g *gatherer) readAhead(ctx context.Context, fd int) (size int64, err error) {
	if g.pieces[0] == nil {
		g.pieces = [2][]byte{make([]byte, largeFile), make([]byte, largeFile)}
	}
	free, full := make(chan []byte, 2), make(chan []byte, 2) // there are two pieces, so no send waits
	free <- g.pieces[0]
	free <- g.pieces[1]
	go func() {
		defer close(full)
		for {
			piece, n := <-free, 0
			if n, err = readPiece(ctx, fd, piece); n == 0 {
				return
			}
			full <- piece[:n]
		}
	}()
	for piece := range full {
		g.hash.Write(piece)
		size += int64(len(piece))
		progress.Add("file", 0, int64(len(piece)))
		free <- piece[:cap(piece)]
	}
	return size, err
}

// readPiece reads what comes next of a file. It returns 0 at the end of the file, and with an error.
func readPiece(ctx context.Context, fd int, piece []byte) (n int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	err = restart(func() (err error) {
		n, err = unix.Read(fd, piece)
		return err
	})
	return max(n, 0), err
}

// target returns the target of a symbolic link. symlink(2) refuses targets of PATH_MAX bytes or
// more, but a damaged or foreign file system may contain one.
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
