package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	units "github.com/docker/go-units"
	"golang.org/x/sys/unix"
)

// files are the checks of a file system that holds a workspace.
func files(dir string) []check {
	in := func(do func(dir string) Finding) func(context.Context) Finding {
		return func(context.Context) Finding { return inside(dir, do) }
	}
	return []check{
		{"clock", in(clock)},
		{"locks", in(locks)},
		{"renames", in(renames)},
		{"copies", in(copies)},
		room("workdir", dir),
	}
}

// elsewhere helps where a file system cannot be used, whatever the reason.
const elsewhere = "choose a directory that you can write to: --workdir, $PIPEX_WORKDIR"

// inside calls do with a new directory in dir, or in the nearest one above dir that is
// there, and removes it afterwards.
func inside(dir string, do func(dir string) Finding) Finding {
	at, err := nearest(dir)
	if err == nil {
		at, err = os.MkdirTemp(at, ".pipex-doctor-")
	}
	if err != nil {
		return fails(elsewhere, "%v", err)
	}
	defer os.RemoveAll(at)
	return do(at)
}

func nearest(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	for err == nil {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) || dir == "/" {
			return dir, err
		}
		dir = filepath.Dir(dir)
	}
	return dir, err
}

// clock compares the time of a new file with this machine's: a file server may have another.
// Times of files decide which mount has changed and which run is old.
func clock(dir string) Finding {
	const most = 2 * time.Second
	before := time.Now()
	path := filepath.Join(dir, "clock")
	if err := os.WriteFile(path, []byte("now"), 0o666); err != nil {
		return fails(elsewhere, "%v", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fails(elsewhere, "%v", err)
	}
	off := info.ModTime().Sub(before)
	if off < -most || off > most+time.Since(before) {
		return warning("timedatectl set-ntp true", "files here are written %s away from this machine's clock", off.Abs().Round(time.Millisecond))
	}
	return ok("files have this machine's time")
}

// locks takes a lock as the workspace does (fcntl(2), F_OFD_SETLK) by one open file, and
// tries by another.
func locks(dir string) Finding {
	const help = "use a local file system, or mount this one with locks (for NFS without nolock)"
	var opened [2]*os.File
	for i := range opened {
		f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o666)
		if err != nil {
			return fails(elsewhere, "%v", err)
		}
		defer f.Close()
		opened[i] = f
	}
	lock := func(f *os.File) error {
		return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Len: 1})
	}
	if err := lock(opened[0]); err != nil {
		return fails(help, "files cannot be locked: %v", err)
	}
	if err := lock(opened[1]); err == nil {
		return fails(help, "a lock here keeps nobody out")
	}
	opened[0].Close()
	if err := lock(opened[1]); err != nil {
		return fails(help, "a lock that was released is still held: %v", err)
	}
	return ok("files can be locked")
}

// renames does what commit and link do: rename a directory where none is, and a symlink over
// another.
func renames(dir string) Finding {
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	err := errors.Join(os.Mkdir(a, 0o777), os.Rename(a, b), os.Symlink("b", a), os.Symlink("a", filepath.Join(dir, "c")), os.Rename(filepath.Join(dir, "c"), a))
	if err != nil {
		return fails("use a file system that can rename directories and symlinks", "%v", err)
	}
	if target, err := os.Readlink(a); err != nil || target != "a" {
		return fails("use a local file system", "a symlink that was replaced has its old target")
	}
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o777); err != nil {
		return fails(elsewhere, "%v", err)
	}
	switch err := unix.Renameat2(unix.AT_FDCWD, filepath.Join(dir, "d"), unix.AT_FDCWD, b, unix.RENAME_NOREPLACE); {
	case err == nil:
		return fails("use a local file system", "RENAME_NOREPLACE replaces")
	case !errors.Is(err, unix.EEXIST):
		return ok("atomic; without RENAME_NOREPLACE, which pipex can do without")
	}
	return ok("atomic")
}

// copies finds whether --source and --copy-input take time and room.
func copies(dir string) Finding {
	from, err := os.Create(filepath.Join(dir, "from"))
	if err != nil {
		return fails(elsewhere, "%v", err)
	}
	defer from.Close()
	to, err := os.Create(filepath.Join(dir, "to"))
	if err != nil {
		return fails(elsewhere, "%v", err)
	}
	defer to.Close()
	if err := unix.IoctlFileClone(int(to.Fd()), int(from.Fd())); err != nil {
		return ok("--copy-input takes time and room: the file system has no reflinks")
	}
	return ok("--copy-input takes no room: the file system has reflinks")
}

// The room below which a check warns, or fails.
const (
	scarce, none             = 1 << 30, 16 << 20
	scarceFiles, noFiles     = 100_000, 1000
	makeRoom, makeRoomOfHere = "pipex-prune --staging --older-than 0s", "remove what is not needed there"
)

// room checks the free bytes and the free inodes of the file system of dir.
func room(what, dir string) check {
	return check{"room for " + what, func(context.Context) Finding {
		at, err := nearest(dir)
		var fs unix.Statfs_t
		if err == nil {
			err = unix.Statfs(at, &fs)
		}
		if err != nil {
			return fails(elsewhere, "%s: %v", at, err)
		}
		help := makeRoomOfHere
		if what == "workdir" {
			help = makeRoom
		}
		free := fs.Bavail * uint64(fs.Bsize)
		found := units.BytesSize(float64(free)) + " free in " + at
		inodes := fmt.Sprintf("%d more files in %s", fs.Ffree, at)
		counted := fs.Files > 0 // Btrfs, for one, makes inodes as it needs them
		switch {
		case free < none:
			return fails(help, "%s", found)
		case counted && fs.Ffree < noFiles:
			return fails(help, "no room for more than %s", inodes)
		case free < scarce:
			return warning(help, "%s", found)
		case counted && fs.Ffree < scarceFiles:
			return warning(help, "room for only %s", inodes)
		}
		return ok("%s", found)
	}}
}
