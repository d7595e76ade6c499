package tree

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Cache remembers the sums of one directory's files between processes, so that
// scanning it again costs one lstat(2) a file, as git's index does.
//
// A file is not read again if its device, inode, size, mode, time of
// modification and time of change are what they were when it was. The last of
// these is the kernel's to set: neither touch(1) nor utimes(2) hide a change.
// What can: a clock that is set back to the nanosecond, or one of a file server
// that lags behind ours by two seconds; a program that goes on writing
// through a mapping (mmap(2)) that the kernel already knows to be dirty; and for
// some seconds what another machine wrote on NFS (nfs(5), ac).
//
// Different caches may be used by any number of processes at once, a cache by
// one goroutine.
type Cache struct {
	dir, file string
	now       func() time.Time

	known map[stamp][sha256.Size]byte // as in the file; a scan does not change it
	fresh map[stamp][sha256.Size]byte // of the last scan; nil if none succeeded
	since time.Time                   // files that changed after it are not remembered
}

// stamp is all by which a file is known to be the same: device, inode, size,
// modification and change in seconds and nanoseconds, mode.
type stamp [8]uint64

// racy is how long a file must have been left alone to be remembered. One that
// is written to twice within a tick of its file system's clock looks the same
// after the second time (git's racy-git.txt); FAT's ticks are of 2 seconds, and
// no common file system's are longer.
const racy = 2 * time.Second

func stampOf(s *unix.Stat_t) stamp {
	return stamp{uint64(s.Dev), s.Ino, uint64(s.Size), uint64(s.Mtim.Sec), uint64(s.Mtim.Nsec),
		uint64(s.Ctim.Sec), uint64(s.Ctim.Nsec), uint64(s.Mode)}
}

// OpenCache returns what is remembered of dir in a file below cacheDir that is
// named after dir. A file that is missing, damaged or unreadable is an empty
// cache, never an error: it only costs time.
func OpenCache(cacheDir, dir string) *Cache {
	key := dir
	if absolute, err := filepath.Abs(dir); err == nil {
		key = absolute
	}
	file := filepath.Join(cacheDir, fmt.Sprintf("%x", sha256.Sum256([]byte(key))))
	c := &Cache{dir: dir, file: file, now: time.Now}
	if data, err := os.ReadFile(file); err == nil {
		c.known = decodeSums(data)
	}
	return c
}

// Scan is [Scan] of the cache's directory, but reads only files that it does not
// remember.
func (c *Cache) Scan(ctx context.Context, options ...Option) (*Tree, error) {
	c.fresh = nil // what fails forgets nothing
	c.since = c.now().Add(-racy)
	return (&scan{cache: c}).run(ctx, c.dir, options)
}

// trusts tells whether a file of that status would look different after the next
// write to it.
func (c *Cache) trusts(s *unix.Stat_t) bool {
	return time.Unix(s.Mtim.Unix()).Before(c.since) && time.Unix(s.Ctim.Unix()).Before(c.since)
}

// remembered is one file's sum.
type remembered struct {
	stamp stamp
	sum   [sha256.Size]byte
}

func (c *Cache) learn(sums []remembered) {
	if c.fresh == nil {
		c.fresh = make(map[stamp][sha256.Size]byte, len(c.known))
	}
	for _, r := range sums {
		c.fresh[r.stamp] = r.sum
	}
}

// Save puts what the last scan found in place of what was remembered before,
// if it is anything else, and makes cacheDir if need be. The file is replaced in
// one rename: of several processes the last one wins. It is not synced; what
// power loss leaves of it is noticed when it is read. A process that is killed
// here leaves a file whose name ends in ".tmp" and digits. All files in cacheDir
// may be removed at any time.
func (c *Cache) Save() (err error) {
	if c.fresh == nil || maps.Equal(c.fresh, c.known) {
		return nil
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot save the hash cache of %q: %w", c.dir, err)
		}
	}()
	if err := os.MkdirAll(filepath.Dir(c.file), 0o777); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(c.file), filepath.Base(c.file)+".tmp*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(encodeSums(c.fresh))
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), c.file); err != nil {
		return err
	}
	c.known = c.fresh
	return nil
}

// A cache file is this line, then the records in no order, each the eight
// numbers of a stamp (little-endian) and a sum, then the SHA-256 of all that.
const cacheHeader = "pipex hash cache 1\n"

const recordSize = 8*8 + sha256.Size

func encodeSums(sums map[stamp][sha256.Size]byte) []byte {
	data := make([]byte, 0, len(cacheHeader)+len(sums)*recordSize+sha256.Size)
	data = append(data, cacheHeader...)
	for stamp, sum := range sums {
		for _, n := range stamp {
			data = binary.LittleEndian.AppendUint64(data, n)
		}
		data = append(data, sum[:]...)
	}
	end := sha256.Sum256(data)
	return append(data, end[:]...)
}

// decodeSums returns nothing at all of data that is not whole.
func decodeSums(data []byte) map[stamp][sha256.Size]byte {
	size := len(data) - sha256.Size
	if size < len(cacheHeader) || string(data[:len(cacheHeader)]) != cacheHeader {
		return nil
	}
	if end := sha256.Sum256(data[:size]); !bytes.Equal(end[:], data[size:]) {
		return nil
	}
	records := data[len(cacheHeader):size]
	sums := make(map[stamp][sha256.Size]byte, len(records)/recordSize)
	for ; len(records) >= recordSize; records = records[recordSize:] {
		var s stamp
		for i := range s {
			s[i] = binary.LittleEndian.Uint64(records[i*8:])
		}
		sums[s] = [sha256.Size]byte(records[8*8 : recordSize])
	}
	return sums
}
