package tree

import (
	"context"
	"errors"
	"io/fs"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// fewObjects is up to how many objects are synced one by one. Each fsync(2) waits some
// milliseconds for the disk. One syncfs(2) waits only once, but for all unwritten data of the
// file system.
const fewObjects = 64

// begin starts to write out what will be synced as a file system, so that the disk writes while files
// are hashed. [Sealed.Sync] waits for that, and then writes out what sealing has changed. It also returns
// the error of the first sync: Linux reports a write error once, so the second one may succeed.
func (s *Sealed) begin() {
	result := make(chan error, 1)
	go func() { result <- syncAround(s.dir) }()
	s.begun = result
}

// Sync makes contents, names and modes of a sealed directory survive power loss, except the name of the
// directory itself: the caller syncs its parent directory.
func (s *Sealed) Sync(ctx context.Context) error {
	if s.begun != nil {
		return errors.Join(<-s.begun, syncAround(s.dir))
	}
	var all errgroup.Group // a disk takes as long for one of them as for all at once
	_, err := walk(ctx, s.dir, func() visitor[struct{}] {
		return func(_ context.Context, o *object) (none struct{}, err error) {
			if !o.is(unix.S_IFREG) && !o.is(unix.S_IFDIR) {
				return none, nil
			}
			fd, err := o.open()
			if err != nil {
				return none, err
			}
			sync := *o
			all.Go(func() error {
				defer unix.Close(fd)
				if err := restart(func() error { return unix.Fsync(fd) }); err != nil {
					return sync.fail("sync", err)
				}
				return nil
			})
			return none, nil
		}
	})
	if failed := all.Wait(); err == nil {
		err = failed
	}
	return err
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
