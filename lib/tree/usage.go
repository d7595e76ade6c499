package tree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"pipex/lib/progress"
)

// Usage counts the space that files occupy on disk, as du(1) does: their blocks, those of
// directories too, and a file of several names once, for the call that meets it first. Its methods return
// bytes. What does not exist, or vanishes meanwhile, occupies nothing. What cannot be read is left out; the error is that
// of the first. They follow no symbolic link, enter no directory on which something is mounted, except the one
// that they are called for, and take no lock.
type Usage struct {
	mu sync.Mutex
	// leaving has the files of several names that were met, and how many names of each leave.
	leaving map[inode]uint64
}

// Add returns what dir, which may also be a file, and all that is in it occupy.
func (u *Usage) Add(ctx context.Context, dir string) (bytes int64, err error) {
	bytes, _, err = u.add(ctx, dir, false, nil)
	return bytes, err
}

// Leaving is Add for what is going to be removed. freed is the space that its removal frees: without files that have
// other names, unless all of these were in directories that Leaving was called for before.
func (u *Usage) Leaving(ctx context.Context, dir string) (bytes, freed int64, err error) {
	return u.add(ctx, dir, true, nil)
}

// Rest is Add without those directories in dir for whose paths, relative to dir, not returns true. Goroutines call it at
// the same time.
func (u *Usage) Rest(ctx context.Context, dir string, not func(path string) bool) (bytes int64, err error) {
	bytes, _, err = u.add(ctx, dir, false, not)
	return bytes, err
}

func (u *Usage) add(ctx context.Context, dir string, leaves bool, not func(path string) bool) (bytes, freed int64, err error) {
	c := &count{usage: u, leaves: leaves, not: not}
	err = c.walk(ctx, dir, "")
	for err == nil && len(c.later) > 0 {
		last := len(c.later) - 1
		path := c.later[last]
		c.later = c.later[:last]
		err = c.again(ctx, dir, path)
	}
	if err == nil {
		err = c.unread
	}
	return c.occupied.Load(), c.frees.Load(), err
}

// count is one call of add.
type count struct {
	usage           *Usage
	leaves          bool
	not             func(path string) bool
	occupied, frees atomic.Int64

	mu     sync.Mutex
	unread error    // the first
	later  []string // directories for which there was no descriptor left, or whose path is too long for a walk
}

// walk counts what is at root and in it, whose path in dir is at; of a directory that was counted, only what is in it.
func (c *count) walk(ctx context.Context, root, at string) error {
	in := func(path string) string {
		if at == "" {
			return path
		}
		return at + "/" + path
	}
	return glide(ctx, root, func(_ context.Context, o *object) (none struct{}, err error) {
		if o.path == "." && at != "" {
			return none, nil
		}
		if o.path != "." && o.is(unix.S_IFDIR) && (c.not != nil && c.not(in(o.path)) || o.mounted()) {
			return none, errPassOver
		}
		progress.Add("file", 1, 0)
		first, last := c.usage.meet(&o.stat, c.leaves)
		if first {
			c.occupied.Add(o.stat.Blocks * 512)
		}
		if last {
			c.frees.Add(o.stat.Blocks * 512)
		}
		return none, nil
	}, func(path string, err error) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		if (errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENAMETOOLONG)) && path != "." {
			c.later = append(c.later, in(path))
		} else {
			c.note(err)
		}
		return ctx.Err() == nil
	})
}

func (c *count) note(err error) {
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) && !errors.Is(err, unix.ELOOP) && !errors.Is(err, ErrChanged) && c.unread == nil {
		c.unread = err
	}
}

// again counts what is in a directory in dir, when the descriptors of the first walk are closed. It goes there
// one name at a time: so it follows no link, and the path may be longer than PATH_MAX.
func (c *count) again(ctx context.Context, dir, path string) error {
	at, name := unix.AT_FDCWD, dir
	for next := range strings.SplitSeq(path, "/") {
		fd, err := unix.Openat(at, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if at != unix.AT_FDCWD {
			unix.Close(at)
		}
		if err != nil {
			c.note(fmt.Errorf("cannot open %q: %w", name, err))
			return nil
		}
		at, name = fd, next
	}
	defer unix.Close(at)
	return c.walk(ctx, fmt.Sprintf("/proc/self/fd/%d/%s", at, name), path)
}

// meet reports whether this is the first name of an object, and whether it is the last of its names that leaves.
func (u *Usage) meet(stat *unix.Stat_t, leaves bool) (first, last bool) {
	if stat.Nlink < 2 || stat.Mode&unix.S_IFMT == unix.S_IFDIR {
		return true, leaves
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.leaving == nil {
		u.leaving = map[inode]uint64{}
	}
	of := inode{uint64(stat.Dev), stat.Ino}
	n, met := u.leaving[of]
	if leaves {
		n++
	}
	u.leaving[of] = n
	return !met, leaves && n == uint64(stat.Nlink)
}

// mounted reports whether something is mounted on a directory. Linux tells it since 5.8.
func (o *object) mounted() bool {
	var is unix.Statx_t
	err := restart(func() error {
		return unix.Statx(o.in.fd, o.name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, 0, &is)
	})
	return err == nil && is.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}
