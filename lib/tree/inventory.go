package tree

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// An inventory is a file with what a scan has seen of each object of a directory, and the tree's
// digest. [Unchanged] compares the objects with it, in its order. It is written only if every later
// change shows in lstat(2): see [scan.inventory].
//
//	inventoryHeader
//	number of segments    4 bytes; all numbers are little-endian
//	digest                32 bytes
//	segments              for each its length and its CRC-32, 4 bytes each
//	SHA-256 of all that   so the digest is never that of another list
//	the segments themselves
//
// A segment is a sequence of parts of directories; goroutines check different segments. A part has
//
//	length of the path, number of entries   2 bytes each
//	path and a zero byte                    relative to the root; "." is the root
//	stamp of the directory                  64 bytes
//	entries: kind and length of the name, 1 byte each; name and a zero byte; stamp, 64 bytes
//
// The directories in a directory are not entries. They have parts of their own, also if they are empty.
const inventoryHeader = "pipex inventory 1\n"

const (
	segmentSize = 32 << 10 // of most segments, in bytes: 400 files, which take less than a millisecond
	maxSegment  = 1 << 20  // of any, far more than one that is just below segmentSize and a part added to it
	partEntries = 200      // at most, so that several goroutines can check one large directory
)

// Kinds of entries. Of a plain one, the whole stamp is compared.
const (
	plainEntry   = 'p'
	specialEntry = 's' // type and permissions: the times of a FIFO change when it is used
	ownEntry     = 'o' // a directory that was left out must still be left out
)

// inventory makes an inventory of what a scan has seen. It returns nil if a later change might not show:
// if anything has changed less than racy before the scan, if a file's size is not what was read, if there
// is another file system below, or if the file system may not set a directory's times when its names
// change, as procfs, FAT, some FUSE file systems, and overlays of a directory that has changed. Network
// file systems ask the server only every few seconds.
func (s *scan) inventory(root string, top *listing[sighting], t *Tree) *inventoryWriter {
	if !keepsTimes(root) || top.below[0] == nil {
		return nil
	}
	w := &inventoryWriter{cache: s.cache, dev: top.found[0].dev}
	w.data = make([]byte, 0, len(t.Entries)*(2+expectedPath+stampSize))
	if !w.directory(&top.found[0], top.below[0]) {
		return nil
	}
	w.cut()
	t.digest = t.Digest()
	w.end(t.digest)
	return w
}

// keepsTimes reports whether dir is on a file system that sets mtime and ctime of a directory
// whenever a name in it is added, removed or replaced, at once and for all to see.
func keepsTimes(dir string) bool {
	var s unix.Statfs_t
	if err := restart(func() error { return unix.Statfs(dir, &s) }); err != nil {
		return false
	}
	return slices.Contains([]int64{unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, unix.TMPFS_MAGIC}, int64(s.Type))
}

// inventoryWriter collects segments.
type inventoryWriter struct {
	cache *Cache
	dev   uint64 // of the root: keepsTimes has been asked about it only
	head  []byte
	table []byte
	data  []byte // the segments
	from  int    // where the last one begins
}

// directory adds a directory and what is below it.
func (w *inventoryWriter) directory(is *sighting, l *listing[sighting]) bool {
	if is.dev != w.dev || !w.cache.trustsStamp(&is.stamp) {
		return false
	}
	w.cutIfFull()
	count, countAt := 0, w.part(is)
	for i := range l.found {
		of := &l.found[i]
		kind := byte(plainEntry)
		switch uint32(of.stamp[stampMode]) & unix.S_IFMT {
		case unix.S_IFDIR:
			continue
		case unix.S_IFREG:
			if uint64(of.size) != of.stamp[stampLength] {
				return false
			}
		case unix.S_IFLNK:
		case 0:
			kind = ownEntry
		default:
			kind = specialEntry
		}
		name := of.path[len(l.prefix):]
		if len(name) > 255 || kind == plainEntry && !w.cache.trustsStamp(&of.stamp) {
			return false
		}
		if count == partEntries {
			w.cutIfFull()
			count, countAt = 0, w.part(is)
		}
		count++
		binary.LittleEndian.PutUint16(w.data[countAt:], uint16(count))
		w.data = append(append(append(w.data, kind, byte(len(name))), name...), 0)
		w.stamp(of)
	}
	for i, below := range l.below {
		if below != nil && !w.directory(&l.found[i], below) {
			return false
		}
	}
	return true
}

// part begins a part, and returns the place of its number of entries.
func (w *inventoryWriter) part(is *sighting) (countAt int) {
	w.data = binary.LittleEndian.AppendUint16(w.data, uint16(len(is.path)))
	countAt = len(w.data)
	w.data = append(append(append(w.data, 0, 0), is.path...), 0)
	w.stamp(is)
	return countAt
}

func (w *inventoryWriter) stamp(is *sighting) {
	full := is.stamp
	full[stampDev] = is.dev
	for _, n := range full {
		w.data = binary.LittleEndian.AppendUint64(w.data, n)
	}
}

func (w *inventoryWriter) cutIfFull() {
	if len(w.data)-w.from >= segmentSize {
		w.cut()
	}
}

// cut ends a segment.
func (w *inventoryWriter) cut() {
	segment := w.data[w.from:]
	w.table = binary.LittleEndian.AppendUint32(w.table, uint32(len(segment)))
	w.table = binary.LittleEndian.AppendUint32(w.table, crc32.ChecksumIEEE(segment))
	w.from = len(w.data)
}

// end makes what stands before the segments.
func (w *inventoryWriter) end(digest string) {
	raw, _ := hex.DecodeString(strings.TrimPrefix(digest, "sha256:"))
	w.head = binary.LittleEndian.AppendUint32([]byte(inventoryHeader), uint32(len(w.table)/8))
	w.head = append(append(w.head, raw...), w.table...)
	sum := sha256.Sum256(w.head)
	w.head = append(w.head, sum[:]...)
}

// is reports whether a file has this inventory.
func (w *inventoryWriter) is(file string) bool {
	f, err := openPlain(file)
	if err != nil {
		return false
	}
	defer f.Close()
	buffer := make([]byte, segmentSize)
	for _, part := range [][]byte{w.head, w.data} {
		for len(part) > 0 {
			n, _ := f.Read(buffer[:min(len(buffer), len(part))])
			if n == 0 || !bytes.Equal(buffer[:n], part[:n]) {
				return false
			}
			part = part[n:]
		}
	}
	n, _ := f.Read(buffer)
	return n == 0
}

// inventory is an inventory that was opened.
type inventory struct {
	file     *os.File
	digest   string
	segments []segment
}

type segment struct {
	at       int64
	size, ck uint32
}

// openInventory opens an inventory, if there is a complete one of that name.
func openInventory(name string) (*inventory, bool) {
	f, err := openPlain(name)
	if err != nil {
		return nil, false
	}
	inv := &inventory{file: f}
	if !inv.readHead() {
		f.Close()
		return nil, false
	}
	return inv, true
}

// openPlain opens a file that may be something else by now.
func openPlain(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
}

func (inv *inventory) readHead() bool {
	info, err := inv.file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	const fixed = len(inventoryHeader) + 4 + sha256.Size
	first := make([]byte, fixed)
	if _, err := inv.file.ReadAt(first, 0); err != nil || !bytes.HasPrefix(first, []byte(inventoryHeader)) {
		return false
	}
	n := int64(binary.LittleEndian.Uint32(first[len(inventoryHeader):]))
	at := int64(fixed) + n*8 + sha256.Size
	if at > info.Size() {
		return false
	}
	head := make([]byte, at)
	if _, err := inv.file.ReadAt(head, 0); err != nil {
		return false
	}
	head, end := head[:at-sha256.Size], head[at-sha256.Size:]
	if sum := sha256.Sum256(head); !bytes.Equal(sum[:], end) {
		return false
	}
	for table := head[fixed:]; len(table) > 0; table = table[8:] {
		s := segment{at, binary.LittleEndian.Uint32(table), binary.LittleEndian.Uint32(table[4:])}
		if s.size > maxSegment {
			return false
		}
		inv.segments = append(inv.segments, s)
		at += int64(s.size)
	}
	inv.digest = "sha256:" + hex.EncodeToString(head[fixed-sha256.Size:fixed])
	return at == info.Size()
}

// read reads a segment into buffer, which grows if needed.
func (inv *inventory) read(i int, buffer []byte) ([]byte, bool) {
	s := inv.segments[i]
	buffer = slices.Grow(buffer[:0], int(s.size))[:s.size]
	_, err := inv.file.ReadAt(buffer, s.at)
	return buffer, err == nil && crc32.ChecksumIEEE(buffer) == s.ck
}
