package tree

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"

	"golang.org/x/sys/unix"
)

// Glance returns a digest of what lstat(2) reports of dir and everything in it: names and
// types, and of all but directories also permissions, size, mtime and ctime. While it stays
// the same, nobody has altered the content, with the exceptions of [Cache]. If it differs,
// the content may still be the same: in a copy all times differ. It reads no file.
func Glance(ctx context.Context, dir string) (string, error) {
	var all []*glancer
	err := walk(ctx, dir, func() visitor {
		g := &glancer{}
		all = append(all, g)
		return g.visit
	})
	if err != nil {
		return "", err
	}
	var objects []stamped
	for _, g := range all {
		objects = append(objects, g.objects...)
	}
	slices.SortFunc(objects, func(a, b stamped) int { return comparePaths(a.path, b.path) })
	h := sha256.New()
	var line []byte
	for i := range objects {
		line = append(append(line[:0], objects[i].path...), 0)
		for _, n := range objects[i].stamp {
			line = binary.LittleEndian.AppendUint64(line, n)
		}
		h.Write(line)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// glancer is the state of one goroutine of a glance.
type glancer struct{ objects []stamped }

func (g *glancer) visit(_ context.Context, o *object) error {
	is := stamped{path: o.path, stamp: stampOf(&o.stat)}
	if o.is(unix.S_IFDIR) { // its names are in the digest themselves
		is.stamp = stamp{stampMode: unix.S_IFDIR}
	}
	is.stamp[stampDev], is.stamp[stampIno] = 0, 0
	g.objects = append(g.objects, is)
	return nil
}
