// Package tree handles the content of directories: it walks a directory without following links,
// hashes it, writes its manifest, compares it with a manifest, copies it, and makes it read-only.
//
// It does not trust what a step has written: symbolic links to /, FIFOs that block an open, devices,
// names of arbitrary bytes, directories nested deeper than PATH_MAX, files without read permission.
// So it opens each object by its name in its open directory (openat(2)), without following links and
// without blocking, and checks that it is the object that lstat(2) has reported. It does not
// interpret names and targets.
//
// The package takes no lock. [Seal], [DropSpecial] and [Copy] expect that nobody else writes to the
// directory. If a directory is written to during a scan, the result may never have existed as a whole.
package tree

import (
	"crypto/sha256"
	"io/fs"
	"strings"
)

// Entry is one object at or below a root.
type Entry struct {
	// Path is relative to the root and separated by slashes; its bytes are unchanged. "." is
	// the root itself.
	Path string
	// Mode is the type, the permissions, setuid, setgid and sticky bits.
	Mode fs.FileMode
	// Size is the number of bytes hashed into Sum; regular files only.
	Size int64
	// Sum is the SHA-256 of the content; regular files only.
	Sum [sha256.Size]byte
	// Link is the target of a symbolic link, unchanged; links only.
	Link string
}

// Tree is the content of one directory, or of one regular file.
//
// The first entry is the root. The others are sorted by the bytes of their paths, as with LC_ALL=C
// sort: so a directory comes before its content, but not always directly before it. A tree does not
// contain owners, times, hard links, holes and extended attributes.
type Tree struct {
	Entries []Entry
	digest  string // of Entries as [Cache.Scan] returns them, if it did
}

// comparePaths defines the order of the entries in a tree.
func comparePaths(a, b string) int {
	switch {
	case a == b:
		return 0
	case a == ".": // the root is first, although "-" and "+" sort before "."
		return -1
	case b == ".":
		return 1
	}
	return strings.Compare(a, b)
}

// Files returns the number of regular files. A file with several names counts once per name.
func (t *Tree) Files() int {
	n := 0
	for i := range t.Entries {
		if t.Entries[i].Mode.IsRegular() {
			n++
		}
	}
	return n
}

// Bytes returns the sum of the sizes of all regular files, in bytes, holes included. It is not the
// space that they take on disk.
func (t *Tree) Bytes() int64 {
	var n int64
	for i := range t.Entries {
		n += t.Entries[i].Size
	}
	return n
}
