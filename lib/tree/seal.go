package tree

import (
	"context"
	"crypto/sha256"
	"errors"

	"golang.org/x/sys/unix"

	"pipex/lib/progress"
)

// largeFile is from which size on, in bytes, a file is read by one goroutine and hashed by another, and
// one that is to be sealed is written to disk at the same time. For smaller files that costs more than it
// saves.
const largeFile = 1 << 20

// sealedBits are the permissions that a sealed file may have.
const sealedBits = 0o555

// Sealed is a directory whose files are read-only.
type Sealed struct {
	*Tree
	// Glance is what [Glance] returns of the directory.
	Glance string
	dir    string
	begun  <-chan error // the result of a first sync of the file system; nil if there was none
}

// Seal makes the files in dir read-only and returns the content of dir. Nobody may write to dir any
// more. All regular files lose their write, setuid, setgid and sticky bits and their capabilities
// (capabilities(7)). Directories keep their modes, so that rm -r works. Seal does not wait for the
// disk, it only makes it begin: [Sealed.Sync] waits.
//
// Seal refuses what [Scan] refuses, special files before it changes anything, and files that are written
// to at the same time, with [ErrChanged]. After a later error some files are sealed; sealing again does
// no harm. Only root can seal a file that its owner may not read, or that belongs to another user,
// unless it is sealed already. All of dir must be on one file system.
func Seal(ctx context.Context, dir string) (*Sealed, error) {
	defer progress.Begin("hashing", "file").End()
	looked, err := walk(ctx, dir, func() visitor[struct{}] {
		return func(_ context.Context, o *object) (none struct{}, err error) {
			switch kind := o.stat.Mode & unix.S_IFMT; kind {
			case unix.S_IFREG, unix.S_IFDIR, unix.S_IFLNK:
			default:
				err = &SpecialError{Path: o.path, Type: fileMode(kind).Type()}
			}
			return none, err
		}
	})
	if err != nil {
		return nil, err
	}
	s := &Sealed{dir: dir}
	if looked.count() > fewObjects {
		s.begin()
	}
	seen, err := walk(ctx, dir, func() visitor[sealed] {
		return (&sealer{gatherer{scan: new(scan), hash: sha256.New()}}).visit
	})
	if err != nil {
		return nil, err
	}
	s.Tree = &Tree{Entries: make([]Entry, 0, seen.count())}
	linked := false
	seen.each(func(is *sealed) {
		s.Entries = append(s.Entries, is.entry())
		linked = linked || is.linked
	})
	if !linked {
		s.Glance = glance(seen, func(is *sealed) *glimpse { return &is.glimpse })
		return s, nil
	}
	s.Glance, err = Glance(ctx, dir) // a file changes when it is sealed by another of its names
	return s, err
}

// sealer is the state of one goroutine of Seal.
type sealer struct{ gatherer }

// sealed is what Seal sees of an object, with the permissions that it has then.
type sealed struct {
	sighting
	glimpse glimpse
	linked  bool // it is a file of several names
}

func (s *sealer) visit(ctx context.Context, o *object) (is sealed, err error) {
	if o.is(unix.S_IFREG) {
		is.size, is.sum, err = s.seal(ctx, o)
	} else {
		is.sighting, err = s.gatherer.visit(ctx, o)
	}
	is.stamped.path, is.stamped.stamp = o.path, stampOf(&o.stat)
	is.glimpse, is.linked = o.glimpse(), o.is(unix.S_IFREG) && o.stat.Nlink > 1
	return is, err
}

// seal reads and seals a file through its descriptor, so that a rename cannot redirect it to another
// file. o then has the status of the sealed file.
func (s *sealer) seal(ctx context.Context, o *object) (size int64, sum [sha256.Size]byte, err error) {
	fd, err := o.open()
	if err != nil {
		return 0, sum, err
	}
	defer unix.Close(fd)
	if o.stat.Size >= largeFile {
		written := make(chan struct{})
		go func() {
			// An error is ignored here: fsync(2) returns it again.
			unix.SyncFileRange(fd, 0, 0, unix.SYNC_FILE_RANGE_WRITE)
			close(written)
		}()
		defer func() { <-written }()
	}
	if size, sum, err = s.read(ctx, fd, o.stat.Size); err != nil {
		return 0, sum, o.fail("read", err)
	}
	if bits := o.stat.Mode &^ unix.S_IFMT; bits&^sealedBits != 0 {
		if err := unix.Fchmod(fd, bits&sealedBits); err != nil {
			return 0, sum, o.fail("change the mode of", err)
		}
	}
	if err := dropCapabilities(fd); err != nil {
		return 0, sum, o.fail("drop the capabilities of", err)
	}
	was := o.stat
	err = restart(func() error { return unix.Fstat(fd, &o.stat) })
	if err == nil && (size != o.stat.Size || was.Mtim != o.stat.Mtim) {
		err = ErrChanged
	}
	if err != nil {
		return 0, sum, o.fail("read", err)
	}
	return size, sum, nil
}

// DropSpecial removes FIFOs, sockets and devices from dir, which [Seal] would refuse. It removes them
// through their open directories (unlinkat(2)). After an error some may have been removed.
func DropSpecial(ctx context.Context, dir string) error {
	_, err := walk(ctx, dir, func() visitor[struct{}] {
		return func(_ context.Context, o *object) (none struct{}, _ error) {
			switch o.stat.Mode & unix.S_IFMT {
			case unix.S_IFREG, unix.S_IFDIR, unix.S_IFLNK:
				return none, nil
			}
			if err := restart(func() error { return unix.Unlinkat(o.in.fd, o.name, 0) }); err != nil {
				return none, o.fail("remove", err)
			}
			return none, nil
		}
	})
	return err
}

// dropCapabilities removes the capabilities of a program, for the same reason as the setuid bit. It
// looks first whether there are any: that is faster than removing none, and needs no privilege.
func dropCapabilities(fd int) error {
	const name = "security.capability"
	if _, err := unix.Fgetxattr(fd, name, nil); err != nil {
		if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) {
			return nil
		}
		return err
	}
	return unix.Fremovexattr(fd, name)
}
