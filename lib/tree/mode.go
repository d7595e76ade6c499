package tree

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// types names every type of object as mtree(5) does.
var types = []struct {
	name string
	mode fs.FileMode
	bits uint32
}{
	{"file", 0, unix.S_IFREG},
	{"dir", fs.ModeDir, unix.S_IFDIR},
	{"link", fs.ModeSymlink, unix.S_IFLNK},
	{"fifo", fs.ModeNamedPipe, unix.S_IFIFO},
	{"socket", fs.ModeSocket, unix.S_IFSOCK},
	{"block", fs.ModeDevice, unix.S_IFBLK},
	{"char", fs.ModeDevice | fs.ModeCharDevice, unix.S_IFCHR},
}

// special are the bits of chmod(2) that are not permissions.
var special = []struct {
	mode fs.FileMode
	bits uint32
}{{fs.ModeSetuid, unix.S_ISUID}, {fs.ModeSetgid, unix.S_ISGID}, {fs.ModeSticky, unix.S_ISVTX}}

// typeName returns mtree(5)'s name for the type of mode.
func typeName(mode fs.FileMode) string {
	for _, t := range types {
		if t.mode == mode.Type() {
			return t.name
		}
	}
	return "unknown"
}

// fileMode translates st_mode; see inode(7).
func fileMode(bits uint32) fs.FileMode {
	mode := fs.FileMode(bits & 0o777)
	for _, t := range types {
		if t.bits == bits&unix.S_IFMT {
			mode |= t.mode
		}
	}
	for _, s := range special {
		if bits&s.bits != 0 {
			mode |= s.mode
		}
	}
	return mode
}

// chmodBits returns mode without its type, for chmod(2).
func chmodBits(mode fs.FileMode) uint32 {
	bits := uint32(mode.Perm())
	for _, s := range special {
		if mode&s.mode != 0 {
			bits |= s.bits
		}
	}
	return bits
}
