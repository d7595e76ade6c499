package tree

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"golang.org/x/sys/unix"
)

// Glance returns a digest of what lstat(2) reports of dir and everything in it: names and
// types, and of all but directories also permissions, size, mtime and ctime. While it stays
// the same, nobody has altered the content, with the exceptions of [Cache]. If it differs,
// the content may still be the same: in a copy all times differ. It reads no file.
func Glance(ctx context.Context, dir string) (string, error) {
	seen, err := walk(ctx, dir, func() visitor[glimpse] {
		return func(_ context.Context, o *object) (glimpse, error) { return o.glimpse(), nil }
	})
	if err != nil {
		return "", err
	}
	return glance(seen, func(is *glimpse) *glimpse { return is }), nil
}

func glance[T any](seen *listing[T], of func(*T) *glimpse) string {
	h := sha256.New()
	var block []byte
	seen.each(func(t *T) {
		is := of(t)
		block = append(append(block, is.path...), 0)
		for _, n := range is.stamp {
			block = binary.LittleEndian.AppendUint64(block, n)
		}
		if len(block) >= hashAtOnce {
			h.Write(block)
			block = block[:0]
		}
	})
	h.Write(block)
	return hex.EncodeToString(h.Sum(nil))
}

// glimpse is what a glance sees of an object.
type glimpse struct {
	path  string
	stamp stamp
}

func (o *object) glimpse() glimpse {
	is := glimpse{path: o.path, stamp: stampOf(&o.stat)}
	if o.is(unix.S_IFDIR) { // its names are in the digest themselves
		is.stamp = stamp{stampMode: unix.S_IFDIR}
	}
	is.stamp[stampDev], is.stamp[stampIno] = 0, 0
	return is
}
