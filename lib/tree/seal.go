package tree

import (
	"context"
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// fewObjects is up to how many objects are synced one by one. Each fsync(2) waits some
// milliseconds for the disk. One syncfs(2) waits only once, but for all unwritten data of the
// file system.
const fewObjects = 64

// sealedBits are the permissions that a sealed file may have.
const sealedBits = 0o555

// Seal makes the files in dir read-only and returns the content of dir. Nobody may write to dir any
// more. All regular files lose their write, setuid, setgid and sticky bits and their capabilities
// (capabilities(7)). Directories keep their modes, so that rm -r works. After Seal has returned nil,
// contents, names and modes survive power loss, except the name of dir itself: the caller syncs its
// parent directory.
//
// Seal refuses what [Scan] refuses, before it changes anything, and files that are written to at the
// same time, with [ErrChanged]. After a later error some files are sealed; sealing again does no
// harm. Only root can seal a file that its owner may not read, or that belongs to another user,
// unless it is sealed already. All of dir must be on one file system.
func Seal(ctx context.Context, dir string) (*Tree, error) {
	t, err := (&scan{still: true}).run(ctx, dir, nil)
	if err != nil {
		return nil, err
	}
	few := len(t.Entries) <= fewObjects
	_, err = walk(ctx, dir, func() visitor[struct{}] {
		return func(_ context.Context, o *object) (none struct{}, err error) {
			if o.is(unix.S_IFREG) || few && o.is(unix.S_IFDIR) {
				err = o.seal(few)
			}
			return none, err
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

// seal seals a file or a directory through its descriptor, so that a rename cannot redirect it to
// another file.
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

// syncAround writes out the whole file system that contains dir. syncfs(2) reports write errors since
// Linux 5.8; older kernels may not.
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
