package tree

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Usage counts the space that files occupy on disk, as du(1) does: their blocks, those of
// directories too, and a file of several names once.
type Usage struct {
	mu   sync.Mutex
	seen map[inode]bool // files of several names
}

// Add returns how many bytes dir, which may also be a file, and all that is in it occupy, without the files of
// several names that an earlier call has counted. What does not exist, or vanishes meanwhile, occupies nothing. What
// cannot be read is left out; the error is that of the first. It follows no symbolic link and takes
// no lock.
func (u *Usage) Add(ctx context.Context, dir string) (bytes int64, err error) {
	var total atomic.Int64
	var mu sync.Mutex
	var unread error
	passOver := func(err error) bool {
		mu.Lock()
		defer mu.Unlock()
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrChanged) && unread == nil {
			unread = err
		}
		return ctx.Err() == nil
	}
	err = glide(ctx, dir, func(_ context.Context, o *object) (none struct{}, err error) {
		if u.counts(&o.stat) {
			total.Add(o.stat.Blocks * 512)
		}
		return none, nil
	}, passOver)
	if err == nil {
		err = unread
	}
	return total.Load(), err
}

// counts reports whether an object has not been counted yet.
func (u *Usage) counts(stat *unix.Stat_t) bool {
	if stat.Nlink < 2 || stat.Mode&unix.S_IFMT == unix.S_IFDIR {
		return true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	of := inode{stat.Dev, stat.Ino}
	if u.seen[of] {
		return false
	}
	if u.seen == nil {
		u.seen = map[inode]bool{}
	}
	u.seen[of] = true
	return true
}
