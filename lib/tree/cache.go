package tree

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Cache stores the SHA-256 sums of one directory's files between processes. So scanning the
// directory again costs one lstat(2) per file, as with git's index.
//
// A file is not read again if its device, inode, size, mode, mtime and ctime are the same as
// when it was read. Only the kernel sets ctime, so touch(1) and utimes(2) cannot hide a
// change. These can: a clock that is set back to the exact nanosecond; a file server whose
// clock is two seconds behind ours; a program that keeps writing through a mapping (mmap(2))
// that is already dirty; and, for some seconds, a write by another machine on NFS (nfs(5),
// option ac).
//
// Any number of processes may use caches at once, also of the same directory. One Cache value
// must be used by one goroutine only.
type Cache struct {
	dir, file string
	now       func() time.Time

	known sums      // as read from the file; a scan does not change it
	fresh []byte    // the records of the last scan; nil if none succeeded or they are those of known
	since time.Time // files that changed later are not stored

	inventory *inventoryWriter // of the last scan, if there can be one
}

// stamp identifies an unchanged file: device, inode, size, mtime and ctime in seconds and
// nanoseconds, mode.
type stamp [8]uint64

// racy is how long a file must have been unchanged before its sum is stored. If a file is
// written twice within one tick of its file system's clock, its stamp is the same after the
// second write (see git's racy-git.txt). FAT has ticks of 2 seconds, the longest of all common
// file systems.
const racy = 2 * time.Second

func stampOf(s *unix.Stat_t) stamp {
	return stamp{uint64(s.Dev), s.Ino, uint64(s.Size), uint64(s.Mtim.Sec), uint64(s.Mtim.Nsec),
		uint64(s.Ctim.Sec), uint64(s.Ctim.Nsec), uint64(s.Mode)}
}

// OpenCache reads the cache of dir, from a file in cacheDir whose name is a hash of dir. If that
// file is missing, damaged or unreadable, the cache is empty: then a scan only takes longer.
func OpenCache(cacheDir, dir string) *Cache {
	file := cacheFile(cacheDir, dir)
	c := &Cache{dir: dir, file: file, now: time.Now}
	if data, err := os.ReadFile(file); err == nil {
		c.known = decodeSums(data)
	}
	return c
}

func cacheFile(cacheDir, dir string) string {
	if absolute, err := filepath.Abs(dir); err == nil {
		dir = absolute
	}
	return filepath.Join(cacheDir, fmt.Sprintf("%x", sha256.Sum256([]byte(dir))))
}

func inventoryFile(cacheDir, dir string) string { return cacheFile(cacheDir, dir) + ".inventory" }

// Scan is [Scan] of the cache's directory, but reads only files whose sums are not stored.
func (c *Cache) Scan(ctx context.Context, options ...Option) (*Tree, error) {
	c.fresh, c.inventory = nil, nil // if this scan fails, Save keeps what is stored
	c.since = c.now().Add(-racy)
	return (&scan{cache: c}).run(ctx, c.dir, options)
}

// trusts reports whether the next write to a file with this status would change its stamp.
func (c *Cache) trusts(s *unix.Stat_t) bool {
	is := stampOf(s)
	return c.trustsStamp(&is)
}

func (c *Cache) trustsStamp(is *stamp) bool {
	before := func(at int) bool { return time.Unix(int64(is[at]), int64(is[at+1])).Before(c.since) }
	return before(stampMtime) && before(stampCtime)
}

// remembered is one file's stamp and sum.
type remembered struct {
	stamp stamp
	sum   [sha256.Size]byte
}

// learn takes what a scan has used and found. If that is what the cache has, there is nothing to save.
func (c *Cache) learn(all []*gatherer) {
	used := make([]bool, c.known.count())
	left, added := c.known.distinct, 0
	for _, g := range all {
		for _, i := range g.hits {
			if !used[i] {
				used[i] = true
				left--
			}
		}
		added += len(g.sums)
	}
	if left == 0 && added == 0 {
		return
	}
	c.fresh = make([]byte, 0, (len(used)+added)*recordSize)
	for i, used := range used {
		if used {
			c.fresh = append(c.fresh, c.known.record(uint32(i))...)
		}
	}
	for _, g := range all {
		for i := range g.sums {
			c.fresh = g.sums[i].append(c.fresh)
		}
	}
}

// Save stores the sums and the inventory of the last scan in place of the old ones, if they differ, and
// creates cacheDir if needed. It replaces each file by one rename: if several processes save, the last
// one wins. It does not sync: damage by power loss is noticed when the file is read. A process
// that is killed during Save leaves a file whose name ends in ".tmp" and digits. All files in
// cacheDir may be removed at any time.
func (c *Cache) Save() error {
	if c.fresh != nil {
		if err := c.write(c.file, encodeSums(c.fresh)); err != nil {
			return err
		}
		c.known, c.fresh = newSums(c.fresh), nil
	}
	if file := inventoryFile(filepath.Dir(c.file), c.dir); c.inventory != nil && !c.inventory.is(file) {
		return c.write(file, c.inventory.head, c.inventory.data)
	}
	return nil
}

// write replaces a file.
func (c *Cache) write(file string, parts ...[]byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot save the hash cache of %q: %w", c.dir, err)
		}
	}()
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".tmp*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	for _, part := range parts {
		if err == nil {
			_, err = f.Write(part)
		}
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
