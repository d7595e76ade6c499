package cli

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// Output lets write write to stdout or, if path is not empty, to that file: nobody sees half of
// it, and a failure leaves the old one.
func Output(path string, write func(io.Writer) error) error {
	if path != "" {
		return replace(path, write)
	}
	out := bufio.NewWriterSize(os.Stdout, 64<<10)
	return errors.Join(write(out), out.Flush())
}

// Directory lets fill fill the directory path, which must be missing or empty. It gets its content
// all at once, by a rename, and none if fill fails.
func Directory(path string, fill func(dir string) error) (err error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if there, err := os.ReadDir(path); err == nil && len(there) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.New("it exists and is not an empty directory")
	}
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	if err = os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	tmp := path + "." + uuid.NewString()[:8]
	if err = os.Mkdir(tmp, 0o777); err != nil {
		return err
	}
	if err = fill(tmp); err == nil {
		err = unix.Rename(tmp, path) // unlike that of os, over an empty directory
	}
	if err != nil {
		err = errors.Join(err, os.RemoveAll(tmp))
	}
	return err
}

// replace writes a file under another name and then renames it, so that nobody sees half of
// it, and a failure leaves the old one. A link is followed. What is no regular file, such as a
// pipe or a device, is written to.
func replace(path string, write func(io.Writer) error) (err error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	special := false
	if info, err := os.Stat(path); err == nil {
		special = !info.Mode().IsRegular()
	}
	name := path
	if !special {
		name = filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+uuid.NewString()[:8])
	}
	flags := map[bool]int{true: os.O_WRONLY, false: os.O_WRONLY | os.O_CREATE | os.O_EXCL}[special]
	f, err := os.OpenFile(name, flags, 0o666)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(f, 64<<10)
	err = errors.Join(write(out), out.Flush())
	if !special && err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if special {
		return err
	}
	if err == nil {
		err = os.Rename(name, path)
	}
	if err != nil {
		os.Remove(name)
	}
	return err
}
