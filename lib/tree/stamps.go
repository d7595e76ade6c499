package tree

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"path"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Stamps holds what lstat(2) reported of each object of a tree when it was scanned. With it,
// [Stamps.Look] finds out later what has been written to since, for one lstat(2) per object.
type Stamps struct{ objects []stamped }

// stamped is one object when it was scanned.
type stamped struct {
	path  string
	flags uint8
	// stamp is from before the object's content was read. Its device is 0: that number may
	// differ after a mount or on another machine that sees the same file system.
	stamp stamp
	// sum is the SHA-256 of a file's content or a link's target.
	sum [sha256.Size]byte
}

const (
	// recent: the object was changed less than racy before the scan, so the next write may
	// have left its stamp as it was. Then the content decides.
	recent = 1 << iota
	// timeless: only the type and the permissions are compared. The times of a FIFO change
	// when it is used, and those of a directory when pipex makes its own directory there.
	timeless
	// own: a directory that the scan left out.
	own
)

// Stamped adds to stamps what the scan sees of each object.
func Stamped(stamps *Stamps) Option {
	return func(s *scan) { s.stamps, s.since = stamps, time.Now().Add(-racy) }
}

// Places in a stamp.
const stampDev, stampIno, stampLength, stampMtime, stampCtime, stampMode = 0, 1, 2, 3, 5, 7

// Settle waits, at most as long as a tick can be, until the next write to any object will change
// its stamp. If the file system counts in fractions of a second, it does not wait: a tick is
// over before a container can start. If it counts in whole seconds, a write and another one
// that undoes it may leave the stamp of a recent file as it was.
func (s *Stamps) Settle(ctx context.Context) error {
	var last int64
	for i := range s.objects {
		o := &s.objects[i]
		if o.flags&recent != 0 && o.stamp[stampCtime+1] == 0 {
			last = max(last, int64(o.stamp[stampCtime]))
		}
	}
	if last == 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(min(racy, time.Until(time.Unix(last, 0).Add(racy)))):
		return nil
	}
}

// stampObject returns the object as it is now, without its content.
func (s *scan) stampObject(o *object) stamped {
	is := stamped{path: o.path, stamp: stampOf(&o.stat)}
	is.stamp[stampDev] = 0
	switch o.stat.Mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFLNK, unix.S_IFDIR:
		if !time.Unix(o.stat.Mtim.Unix()).Before(s.since) || !time.Unix(o.stat.Ctim.Unix()).Before(s.since) {
			is.flags |= recent
		}
		if slices.Contains(s.parents, inode{uint64(o.stat.Dev), o.stat.Ino}) {
			is.flags |= timeless
		}
	default:
		is.flags |= timeless
	}
	return is
}

// Change is one object that has changed since it was scanned.
type Change struct {
	// Path is relative to the root; "." is the root itself.
	Path string
	// Kind is [Added], [Removed] or [Changed].
	Kind string
	// directory says that it is one now.
	directory bool
}

// The kinds of a change.
const (
	Added   = "added"
	Removed = "removed"
	// Changed: written to, replaced, or given other permissions; also if it is now again
	// what it was. Of a directory: something in it was added, removed or renamed.
	Changed = "changed"
)

// Look compares dir, and everything in it, with what it was when it was scanned, and returns
// what has changed, sorted by path. The options must be those of the scan.
//
// A change is noticed also if it was undone, since the kernel sets ctime to the present
// whenever a file is written to, moved, or given times. So touch(1), chmod(1) and a new hard
// link are changes, too. Reading is none. What [Cache] does not notice, Look does not notice
// either; nor does it notice a change that was undone within the same tick of the file
// system's clock in which the scan took place, unless [Stamps.Settle] waits for its end.
//
// Only files that were changed less than two seconds before the scan are read. An error means
// that dir could not be looked at as a whole, and that anything in it may have changed.
func (s *Stamps) Look(ctx context.Context, dir string, options ...Option) ([]Change, error) {
	settings := &scan{special: true}
	for _, option := range options {
		option(settings)
	}
	known := newIndex(len(s.objects))
	for i := range s.objects {
		path := s.objects[i].path
		known.insert(maphash.String(pathSeed, path), uint32(i), func(j uint32) bool { return s.objects[j].path == path })
	}
	found, err := walk(ctx, dir, func() visitor[watched] {
		w := &watcher{gatherer{scan: settings, hash: sha256.New()}, s.objects, known}
		return w.visit
	})
	if errors.Is(err, unix.ENOENT) && gone(dir) {
		return []Change{{Path: ".", Kind: Removed}}, nil
	}
	if err != nil {
		return nil, err
	}
	var changes []Change
	seen := make([]bool, len(s.objects))
	found.each(func(is *watched) {
		if is.was != 0 {
			seen[is.was-1] = true
		}
		if is.change != nil {
			changes = append(changes, *is.change)
		}
	})
	for i := range s.objects {
		if o := &s.objects[i]; !seen[i] && o.flags&own == 0 {
			changes = append(changes, Change{Path: o.path, Kind: Removed})
		}
	}
	slices.SortFunc(changes, func(a, b Change) int { return comparePaths(a.Path, b.Path) })
	return condense(changes), nil
}

// pathSeed is the seed of the hashes of paths.
var pathSeed = maphash.MakeSeed()

func gone(dir string) bool {
	return errors.Is(restart(func() error { return unix.Lstat(dir, new(unix.Stat_t)) }), unix.ENOENT)
}

// watched is what Look finds of an object.
type watched struct {
	was    uint32 // 1 more than the number of the object that it was; 0 if it is new
	change *Change
}

// watcher is the state of one goroutine of a look.
type watcher struct {
	gatherer
	objects []stamped
	known   index
}

func (w *watcher) visit(ctx context.Context, o *object) (is watched, err error) {
	i, ok := w.known.find(maphash.String(pathSeed, o.path), func(i uint32) bool { return w.objects[i].path == o.path })
	switch {
	case o.is(unix.S_IFDIR) && o.path != "." && w.leavesOut(o), ok && w.objects[i].flags&own != 0:
		return is, errPassOver
	case !ok:
		is.change = &Change{Path: o.path, Kind: Added}
		return is, errPassOver
	}
	is.was = i + 1
	was := &w.objects[i]
	same, err := w.same(ctx, o, was)
	if err != nil || same {
		return is, err
	}
	is.change = &Change{o.path, Changed, o.is(unix.S_IFDIR)}
	if o.is(unix.S_IFDIR) && was.stamp[stampMode]&unix.S_IFMT != unix.S_IFDIR {
		return is, errPassOver // one change is enough
	}
	return is, nil
}

// same reports whether an object is what it was.
func (w *watcher) same(ctx context.Context, o *object, was *stamped) (bool, error) {
	is := stampOf(&o.stat)
	is[stampDev] = 0
	if was.flags&timeless != 0 {
		return is[stampMode] == was.stamp[stampMode], nil
	}
	if is == was.stamp && was.flags&recent == 0 {
		return true, nil
	}
	// Some file systems number an object anew when it has not been used for a while.
	is[stampIno] = was.stamp[stampIno]
	if is != was.stamp {
		return false, nil
	}
	var content sighting
	var err error
	switch o.stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		err = w.content(ctx, o, &content)
	case unix.S_IFLNK:
		var target string
		target, err = o.target()
		content.sum = sha256.Sum256([]byte(target))
	}
	return content.sum == was.sum, err
}

// condense leaves out what other changes imply: what was in a directory that is removed or is
// no directory any more, and a directory that has changed because of what is directly in it.
func condense(changes []Change) []Change {
	gone, parents := map[string]bool{}, map[string]bool{}
	for _, c := range changes {
		if c.Path != "." {
			parents[path.Dir(c.Path)] = true
		}
	}
	kept := changes[:0]
	for _, c := range changes {
		above := path.Dir(c.Path)
		if c.Path == "." {
			above = ""
		}
		implied := gone[above] || c.directory && parents[c.Path]
		if c.Kind == Removed || c.Kind == Changed && !c.directory {
			gone[c.Path] = true
		}
		if implied {
			continue
		}
		kept = append(kept, c)
	}
	return kept
}

// Encoded stamps are this line, then the objects in any order, then the SHA-256 sum of all that.
// An object is the length of its path in 4 bytes, the path, the flags, the numbers of its stamp,
// and its sum; numbers are little-endian.
const stampsHeader = "pipex stamps 1\n"

// expectedPath is the usual length of a path, in bytes; it decides only how much memory is taken at once.
const expectedPath = 24

const stampedSize = 4 + 1 + 8*8 + sha256.Size

// Encode returns the stamps in the form that [DecodeStamps] reads.
func (s *Stamps) Encode() []byte {
	size := len(stampsHeader) + len(s.objects)*stampedSize + sha256.Size
	for i := range s.objects {
		size += len(s.objects[i].path)
	}
	data := append(make([]byte, 0, size), stampsHeader...)
	for i := range s.objects {
		o := &s.objects[i]
		data = binary.LittleEndian.AppendUint32(data, uint32(len(o.path)))
		data = append(append(data, o.path...), o.flags)
		for _, n := range o.stamp {
			data = binary.LittleEndian.AppendUint64(data, n)
		}
		data = append(data, o.sum[:]...)
	}
	end := sha256.Sum256(data)
	return append(data, end[:]...)
}

// DecodeStamps reads what [Stamps.Encode] has returned. It refuses anything else.
func DecodeStamps(data []byte) (*Stamps, error) {
	damaged := errors.New("the list of what prepare has seen is damaged")
	size := len(data) - sha256.Size
	if size < len(stampsHeader) || string(data[:len(stampsHeader)]) != stampsHeader {
		return nil, damaged
	}
	if end := sha256.Sum256(data[:size]); !bytes.Equal(end[:], data[size:]) {
		return nil, damaged
	}
	s := &Stamps{}
	text := string(data[len(stampsHeader):size]) // the paths share its memory
	s.objects = make([]stamped, 0, len(text)/(stampedSize+expectedPath))
	for text != "" {
		if len(text) < stampedSize {
			return nil, damaged
		}
		n := int(binary.LittleEndian.Uint32([]byte(text[:4])))
		if text = text[4:]; len(text) < n+stampedSize-4 {
			return nil, damaged
		}
		o := stamped{path: text[:n], flags: text[n]}
		text = text[n+1:]
		numbers := []byte(text[:8*8])
		for i := range o.stamp {
			o.stamp[i] = binary.LittleEndian.Uint64(numbers[i*8:])
		}
		copy(o.sum[:], text[8*8:])
		text = text[8*8+sha256.Size:]
		s.objects = append(s.objects, o)
	}
	return s, nil
}
