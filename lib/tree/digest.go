package tree

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Digest names the content: "sha256:" and 64 hexadecimal digits. Two trees
// have the same digest if and only if they hold the same names with the same
// types, contents, targets and executability.
//
// It is the SHA-256 of these records, one an entry in the tree's order:
//
//	dir PATH\0
//	file SIZE SHA256 PATH\0      a file that its owner may not execute
//	exec SIZE SHA256 PATH\0      a file that its owner may execute
//	link PATH\0TARGET\0
//	fifo PATH\0                  likewise socket, block, char; see RecordSpecial
//
// Of the permissions only the owner's execute bit of files counts, as in git:
// the others depend on the umask of whoever copied the tree, and [Seal] drops
// some. Times, owners and inodes do not count either, so a step that is run
// again and yields the same bytes yields the same digest.
func (t *Tree) Digest() string {
	h := sha256.New()
	for i := range t.Entries {
		switch e := &t.Entries[i]; {
		case e.Mode.IsRegular() && e.Mode&0o100 != 0:
			fmt.Fprintf(h, "exec %d %x %s\x00", e.Size, e.Sum[:], e.Path)
		case e.Mode.IsRegular():
			fmt.Fprintf(h, "file %d %x %s\x00", e.Size, e.Sum[:], e.Path)
		case e.Link != "":
			fmt.Fprintf(h, "link %s\x00%s\x00", e.Path, e.Link)
		default:
			fmt.Fprintf(h, "%s %s\x00", typeName(e.Mode), e.Path)
		}
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
