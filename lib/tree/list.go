package tree

import (
	"context"
	"io/fs"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// List returns the names, types and sizes of what is in dir, as [Scan] does, but reads no
// file: the sums are zero. Special files are listed, too. If something cannot be read, as
// may happen while a step writes to dir, List returns what it has found and the error.
func List(ctx context.Context, dir string) (*Tree, error) {
	var mu sync.Mutex
	t := &Tree{}
	err := walk(ctx, dir, func() visitor {
		return func(_ context.Context, o *object) (err error) {
			e := Entry{Path: o.path, Mode: fileMode(o.stat.Mode)}
			switch o.stat.Mode & unix.S_IFMT {
			case unix.S_IFREG:
				e.Size = o.stat.Size
			case unix.S_IFLNK:
				e.Mode = fs.ModeSymlink | 0o777
				e.Link, err = o.target()
			}
			mu.Lock()
			defer mu.Unlock()
			t.Entries = append(t.Entries, e)
			return err
		}
	})
	slices.SortFunc(t.Entries, func(a, b Entry) int { return comparePaths(a.Path, b.Path) })
	return t, err
}
