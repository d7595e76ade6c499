package tree

import (
	"context"
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// fewObjects is up to how many objects are synced one by one. Each fsync(2)
// waits for the disk, some milliseconds; one syncfs(2) waits once, but for
// whatever else is unwritten on the file system, too.
const fewObjects = 64

// sealedBits are the permissions that a sealed file may have.
const sealedBits = 0o555

// Seal freezes dir, which nobody writes to any more, and returns its content as
// it then is. All regular files lose their write, setuid, setgid and sticky bits
// and their capabilities (capabilities(7)); directories keep theirs, so that
// rm -r works. When Seal has returned nil, contents, names and modes survive
// power loss; the name of dir itself is its parent's to sync.
//
// What [Scan] refuses is refused before anything is changed, and so is a file
// that is written to meanwhile, with [ErrChanged]. An error after that leaves
// some files sealed; to seal again does no harm. A file that denies its owner
// reading can be sealed by root only, one that somebody else owns likewise
// unless it is sealed already. dir is expected to lie on one file system.
func Seal(ctx context.Context, dir string) (*Tree, error) {
	t, err := (&scan{still: true}).run(ctx, dir, nil)
	if err != nil {
		return nil, err
	}
	few := len(t.Entries) <= fewObjects
	err = walk(ctx, dir, func() visitor {
		return func(_ context.Context, o *object) error {
			if o.is(unix.S_IFREG) || few && o.is(unix.S_IFDIR) {
				return o.seal(few)
			}
			return nil
		}
	})
	if err == nil && !few {
		err = syncAround(dir)
	}
	if err != nil {
		return nil, err
	}
	for i := range t.Entries {
		if e := &t.Entries[i]; e.Mode.IsRegular() {
			e.Mode &= sealedBits
		}
	}
	return t, nil
}

// DropSpecial removes FIFOs, sockets and devices from dir, which [Seal] would
// refuse, by their names in their open directories. What it has removed when it
// fails stays removed.
func DropSpecial(ctx context.Context, dir string) error {
	return walk(ctx, dir, func() visitor {
		return func(_ context.Context, o *object) error {
			switch o.stat.Mode & unix.S_IFMT {
			case unix.S_IFREG, unix.S_IFDIR, unix.S_IFLNK:
				return nil
			}
			if err := restart(func() error { return unix.Unlinkat(o.in.fd, o.name, 0) }); err != nil {
				return o.fail("remove", err)
			}
			return nil
		}
	})
}

// seal changes a file or a directory through its descriptor, which no rename
// can redirect.
func (o *object) seal(sync bool) error {
	fd, err := o.open()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if o.is(unix.S_IFREG) {
		if bits := o.stat.Mode &^ unix.S_IFMT; bits&^sealedBits != 0 {
			if err := unix.Fchmod(fd, bits&sealedBits); err != nil {
				return o.fail("change the mode of", err)
			}
		}
		if err := dropCapabilities(fd); err != nil {
			return o.fail("drop the capabilities of", err)
		}
	}
	if sync {
		if err := restart(func() error { return unix.Fsync(fd) }); err != nil {
			return o.fail("sync", err)
		}
	}
	return nil
}

// dropCapabilities makes a program as harmless as a dropped setuid bit does.
// Asking first costs less than removing what is not there, and needs no
// privilege.
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

// syncAround writes out the whole file system that dir is on. Since Linux 5.8
// syncfs(2) tells of data that could not be written; before, it may not.
func syncAround(dir string) error {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	if err := restart(func() error { return unix.Syncfs(fd) }); err != nil {
		return &fs.PathError{Op: "sync the file system of", Path: dir, Err: err}
	}
	return nil
}
