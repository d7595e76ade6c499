package tree

import (
	"context"
	"encoding/binary"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"pipex/lib/internal/cores"
)

// Unchanged returns the digest of dir, the same as [Cache.Scan]'s tree has, if nothing in dir has
// changed since a scan through the cache that [Cache.Save] has stored. It costs one statx(2) for each
// file and one open(2) for each directory: names are not listed again, since the times of a directory
// say that they are the same. The options must be those of a scan.
//
// Otherwise, and whenever there is doubt, the result is false, for no reason that a caller could mend:
// Scan then finds out what is there, or what is wrong. What [Cache] does not notice, Unchanged does not
// notice either.
func Unchanged(ctx context.Context, cacheDir, dir string, options ...Option) (digest string, ok bool) {
	inv, ok := openInventory(inventoryFile(cacheDir, dir))
	if !ok {
		return "", false
	}
	defer inv.file.Close()
	s := &scan{}
	for _, option := range options {
		option(s)
	}
	var root int
	err := restart(func() (err error) {
		root, err = unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return "", false
	}
	defer unix.Close(root)
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range cores.All() {
		g.Go(func() error {
			var buffer []byte
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(inv.segments) {
					return nil
				}
				var ok bool
				if buffer, ok = inv.read(i, buffer); !ok || !s.unchanged(root, buffer) {
					return ErrChanged
				}
				runtime.Gosched() // other goroutines wait for answers of containerd
			}
			return ctx.Err()
		})
	}
	return inv.digest, g.Wait() == nil
}

// unchanged compares what a segment of an inventory lists with what is there.
func (s *scan) unchanged(root int, segment []byte) bool {
	rest := bytesLeft(segment)
	for len(rest) > 0 {
		sizes := rest.take(4)
		if sizes == nil {
			return false
		}
		path := rest.take(int(binary.LittleEndian.Uint16(sizes)) + 1)
		stamp := rest.take(stampSize)
		if stamp == nil || !s.unchangedPart(root, path, stamp, &rest, int(binary.LittleEndian.Uint16(sizes[2:]))) {
			return false
		}
	}
	return true
}

// unchangedPart compares a directory with its stamp, and the next entries with what is in it. Whatever
// happens to the directories above it, it is the right one if it has that stamp.
func (s *scan) unchangedPart(root int, path, stamp []byte, rest *bytesLeft, entries int) bool {
	fd, err := unix.Openat2(root, string(path[:len(path)-1]), &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var is unix.Statx_t
	const self = "\x00"
	if statx(fd, unsafe.StringData(self), unix.AT_EMPTY_PATH, &is) != 0 || !sameStamp(&is, stamp) {
		return false
	}
	if string(path) != ".\x00" && s.leavesOutInode(&is) {
		return false
	}
	for range entries {
		head := rest.take(2)
		if head == nil {
			return false
		}
		name, stamp := rest.take(int(head[1])+1), rest.take(stampSize)
		if stamp == nil || name[len(name)-1] != 0 || statx(fd, &name[0], unix.AT_SYMLINK_NOFOLLOW, &is) != 0 {
			return false
		}
		var same bool
		switch head[0] {
		case plainEntry:
			same = sameStamp(&is, stamp)
		case specialEntry:
			same = s.special && uint64(is.Mode) == binary.LittleEndian.Uint64(stamp[stampMode*8:])
		case ownEntry:
			same = is.Mode&unix.S_IFMT == unix.S_IFDIR && s.leavesOutInode(&is)
		}
		if !same {
			return false
		}
	}
	return true
}

func (s *scan) leavesOutInode(is *unix.Statx_t) bool {
	return len(s.without) > 0 && slices.Contains(s.without, inode{unix.Mkdev(is.Dev_major, is.Dev_minor), is.Ino})
}

// sameStamp compares what statx(2) reports with a stamp as [remembered.append] writes it.
func sameStamp(is *unix.Statx_t, stamp []byte) bool {
	number := func(i int) uint64 { return binary.LittleEndian.Uint64(stamp[i*8:]) }
	_ = stamp[stampSize-1]
	return number(1) == is.Ino && number(2) == is.Size &&
		number(3) == uint64(is.Mtime.Sec) && number(4) == uint64(is.Mtime.Nsec) &&
		number(5) == uint64(is.Ctime.Sec) && number(6) == uint64(is.Ctime.Nsec) &&
		number(7) == uint64(is.Mode) && number(0) == unix.Mkdev(is.Dev_major, is.Dev_minor)
}

// statx is statx(2) of a name that ends with a zero byte where it stands, so that no file costs a copy
// of its name. Other machines' changes are seen as with lstat(2).
func statx(fd int, name *byte, flags int, is *unix.Statx_t) syscall.Errno {
	_, _, errno := syscall.Syscall6(unix.SYS_STATX, uintptr(fd), uintptr(unsafe.Pointer(name)),
		uintptr(flags|unix.AT_NO_AUTOMOUNT), unix.STATX_BASIC_STATS, uintptr(unsafe.Pointer(is)), 0)
	return errno
}

// bytesLeft is what has not been read yet of a segment.
type bytesLeft []byte

// take returns the next n bytes, or nil if there are fewer.
func (b *bytesLeft) take(n int) []byte {
	if len(*b) < n {
		*b = nil
		return nil
	}
	taken := (*b)[:n]
	*b = (*b)[n:]
	return taken
}
