package tree

import "fmt"

// Kind says what differs at a path.
type Kind string

const (
	// Missing: only the first tree has it.
	Missing Kind = "missing"
	// Extra: only the second tree has it.
	Extra Kind = "extra"
	// Type: for example, a directory became a file. Then nothing else is reported for the
	// path.
	Type Kind = "type"
	// Mode: the permissions, or setuid, setgid or sticky bits. Not compared for links.
	Mode Kind = "mode"
	// Content: a file's bytes.
	Content Kind = "content"
	// Link: the target of a symbolic link.
	Link Kind = "link"
)

// Difference is one difference between two trees.
type Difference struct {
	Path string
	Kind Kind
	// Was is the entry in the first tree, Is the one in the second; the zero Entry if there
	// is none.
	Was, Is Entry
}

// Decides reports whether the difference changes the tree's digest. Most permissions do not.
func (d Difference) Decides() bool {
	return d.Kind != Mode || d.Was.Mode.IsRegular() && (d.Was.Mode^d.Is.Mode)&0o100 != 0
}

// String returns the difference in one line of printable characters.
func (d Difference) String() string {
	switch d.Kind {
	case Type:
		return fmt.Sprintf("type %q: %s, was %s", d.Path, typeName(d.Is.Mode), typeName(d.Was.Mode))
	case Mode:
		return fmt.Sprintf("mode %q: %04o, was %04o", d.Path, chmodBits(d.Is.Mode), chmodBits(d.Was.Mode))
	case Content:
		return fmt.Sprintf("content %q: %d bytes, sha256 %x, was %d bytes, sha256 %x", d.Path, d.Is.Size, d.Is.Sum, d.Was.Size, d.Was.Sum)
	case Link:
		return fmt.Sprintf("link %q: %q, was %q", d.Path, d.Is.Link, d.Was.Link)
	}
	return fmt.Sprintf("%s %q", d.Kind, d.Path)
}

// Compare returns the differences between t and other, sorted by path. It compares all fields of
// an entry. Trees without differences have the same [Tree.Digest]; trees with the same digest
// may still differ in modes.
func (t *Tree) Compare(other *Tree) []Difference {
	var all []Difference
	was, is := t.Entries, other.Entries
	for len(was) > 0 || len(is) > 0 {
		switch {
		case len(is) == 0 || len(was) > 0 && comparePaths(was[0].Path, is[0].Path) < 0:
			all = append(all, Difference{was[0].Path, Missing, was[0], Entry{}})
			was = was[1:]
		case len(was) == 0 || comparePaths(was[0].Path, is[0].Path) > 0:
			all = append(all, Difference{is[0].Path, Extra, Entry{}, is[0]})
			is = is[1:]
		default:
			for _, kind := range compareEntries(&was[0], &is[0]) {
				all = append(all, Difference{was[0].Path, kind, was[0], is[0]})
			}
			was, is = was[1:], is[1:]
		}
	}
	return all
}

func compareEntries(was, is *Entry) (kinds []Kind) {
	if was.Mode.Type() != is.Mode.Type() {
		return []Kind{Type}
	}
	if was.Mode != is.Mode {
		kinds = append(kinds, Mode)
	}
	if was.Size != is.Size || was.Sum != is.Sum {
		kinds = append(kinds, Content)
	}
	if was.Link != is.Link {
		kinds = append(kinds, Link)
	}
	return kinds
}
