package tree

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// Digest returns the digest of the content: "sha256:" and 64 hexadecimal digits. Two trees have
// the same digest if and only if they have the same names with the same types, contents, link
// targets and owner's execute bits.
//
// It is the SHA-256 sum of these records, one per entry, in the tree's order:
//
//	dir PATH\0
//	file SIZE SHA256 PATH\0      a file that its owner may not execute
//	exec SIZE SHA256 PATH\0      a file that its owner may execute
//	link PATH\0TARGET\0
//	fifo PATH\0                  likewise socket, block, char; see RecordSpecial
//
// Of the permissions only the owner's execute bit of files is included, as in git: the others
// depend on the umask of the process that made the tree, and [Seal] drops some. Times, owners
// and inodes are not included, so a step that is run again and writes the same bytes gets the
// same digest.
func (t *Tree) Digest() string {
	if t.digest != "" {
		return t.digest
	}
	h := sha256.New()
	var block []byte
	for i := range t.Entries {
		switch e := &t.Entries[i]; {
		case e.Mode.IsRegular():
			kind := "file "
			if e.Mode&0o100 != 0 {
				kind = "exec "
			}
			block = strconv.AppendInt(append(block, kind...), e.Size, 10)
			block = hex.AppendEncode(append(block, ' '), e.Sum[:])
			block = append(append(block, ' '), e.Path...)
		case e.Link != "":
			block = append(append(block, "link "...), e.Path...)
			block = append(append(block, 0), e.Link...)
		default:
			block = append(append(block, typeName(e.Mode)...), ' ')
			block = append(block, e.Path...)
		}
		if block = append(block, 0); len(block) >= hashAtOnce {
			h.Write(block)
			block = block[:0]
		}
	}
	h.Write(block)
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// hashAtOnce is how many bytes are hashed at once, so that each call hashes many records.
const hashAtOnce = 16 << 10
