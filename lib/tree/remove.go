package tree

import (
	"os"

	"golang.org/x/sys/unix"

	"pipex/lib/progress"
)

// Remove deletes path and everything in it. It follows no symbolic link. It deletes by the types that
// the directories themselves report (getdents64(2)), without looking at each object first. What cannot
// be deleted so, as in a file system that reports no types, is left to [os.RemoveAll].
func Remove(path string) error {
	defer progress.Begin("removing", "").End()
	if removeAt(unix.AT_FDCWD, path) == nil {
		return nil
	}
	return os.RemoveAll(path)
}

// removeAt deletes a directory and everything in it.
func removeAt(parent int, name string) error {
	fd, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var files, directories []string
	err = readDirectory(fd, func(e entry) {
		if e.kind == unix.DT_DIR {
			directories = append(directories, string(e.name))
		} else {
			files = append(files, string(e.name))
		}
	})
	for _, f := range files {
		if err == nil {
			err = restart(func() error { return unix.Unlinkat(fd, f, 0) })
		}
	}
	for _, d := range directories {
		if err == nil {
			err = removeAt(fd, d)
		}
	}
	if err != nil {
		return err
	}
	return restart(func() error { return unix.Unlinkat(parent, name, unix.AT_REMOVEDIR) })
}
