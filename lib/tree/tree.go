// Package tree knows what a directory holds: it walks one without following
// anything, hashes it, lists it as a manifest, compares it with a manifest,
// and freezes it.
//
// A step may have written anything: symbolic links to /, FIFOs that block an
// open, devices, names of arbitrary bytes, directories nested deeper than
// PATH_MAX, files without permission to read them. So every object is opened
// by its one name in its already open directory (openat(2)), never followed
// and never waited for, and must then be what lstat(2) said it was. No byte of
// a name or a target is interpreted.
//
// The package takes no lock. Only [Seal] changes what it walks, and it expects
// that nobody writes there any more. A directory that is being written to
// while it is scanned gives the content of no particular moment.
package tree

import (
	"crypto/sha256"
	"io/fs"
	"strings"
)

// Entry is one object at or below a root.
type Entry struct {
	// Path is relative to the root and slash separated, byte for byte as the
	// directories hold it. "." is the root itself.
	Path string
	// Mode is the type, the permissions, setuid, setgid and sticky bits.
	Mode fs.FileMode
	// Size is the number of bytes hashed into Sum; regular files only.
	Size int64
	// Sum is the SHA-256 of the content; regular files only.
	Sum [sha256.Size]byte
	// Link is where a symbolic link leads, as written in it; links only.
	Link string
}

// Tree is the content of one directory, or of one regular file.
//
// Entries begin with the root, then follow in the order of the bytes of their
// paths (as LC_ALL=C sort has it), so a directory stands before what it holds,
// though not necessarily directly before it. A tree says nothing of owners,
// times, hard links, holes and extended attributes.
type Tree struct {
	Entries []Entry
}

// comparePaths gives the order of the entries in a tree.
func comparePaths(a, b string) int {
	switch {
	case a == b:
		return 0
	case a == ".": // "-" and "+" sort before it, but nothing precedes the root
		return -1
	case b == ".":
		return 1
	}
	return strings.Compare(a, b)
}

// Files is the number of regular files; each name of a file with several
// counts.
func (t *Tree) Files() int {
	n := 0
	for i := range t.Entries {
		if t.Entries[i].Mode.IsRegular() {
			n++
		}
	}
	return n
}

// Bytes is the sum of the sizes of all regular files in bytes: what their
// readers get, holes included, not what they occupy.
func (t *Tree) Bytes() int64 {
	var n int64
	for i := range t.Entries {
		n += t.Entries[i].Size
	}
	return n
}
