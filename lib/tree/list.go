package tree

import (
	"context"
	"io/fs"

	"golang.org/x/sys/unix"
)

// List returns the names, types and sizes of what is in dir, as [Scan] does, but reads no
// file: the sums are zero. Special files are listed, too. If something cannot be read, as
// may happen while a step writes to dir, List returns what it has found and the error.
func List(ctx context.Context, dir string) (*Tree, error) {
	seen, err := walk(ctx, dir, func() visitor[Entry] {
		return func(_ context.Context, o *object) (e Entry, err error) {
			e = Entry{Path: o.path, Mode: fileMode(o.stat.Mode)}
			switch o.stat.Mode & unix.S_IFMT {
			case unix.S_IFREG:
				e.Size = o.stat.Size
			case unix.S_IFLNK:
				e.Mode = fs.ModeSymlink | 0o777
				e.Link, err = o.target()
			}
			return e, err
		}
	})
	t := &Tree{}
	seen.each(func(e *Entry) {
		if e.Path != "" { // it was visited
			t.Entries = append(t.Entries, *e)
		}
	})
	return t, err
}
