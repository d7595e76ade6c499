package registry

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"pipex/lib/tree"
	"pipex/lib/workspace"
)

func writeLog(path string, from io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := io.Copy(f, io.LimitReader(from, maxLog+1))
	if err == nil && n > maxLog {
		err = errors.New("a log of it is too large")
	}
	return err
}

// unpack writes the artifacts of an archive: exactly those of the list, each once.
func unpack(run workspace.Run, list *tree.Tree, from io.Reader) error {
	root, err := os.OpenRoot(run.Artifacts())
	if err != nil {
		return err
	}
	defer root.Close()
	archive := tar.NewReader(from)
	var dirs []tree.Entry
	for i := range list.Entries {
		e := &list.Entries[i]
		h, err := archive.Next()
		if err != nil {
			return fmt.Errorf("its archive is wrong: %w", err)
		}
		path := h.Name
		if e.Mode.IsDir() && h.Typeflag == tar.TypeDir && len(path) > 1 {
			path = path[:len(path)-1]
		}
		if path != e.Path {
			return fmt.Errorf("its archive has %q where its list has %q", path, e.Path)
		}
		if e.Mode.IsDir() {
			dirs = append(dirs, *e)
		}
		if err := create(root, e, h, archive); err != nil {
			return err
		}
	}
	if _, err := archive.Next(); err != io.EOF {
		return errors.New("its archive has more than its list")
	}
	// Now, since a directory may be closed to its owner.
	for _, e := range slices.Backward(dirs) {
		if err := root.Chmod(e.Path, e.Mode.Perm()); err != nil {
			return err
		}
	}
	return nil
}

func create(root *os.Root, e *tree.Entry, h *tar.Header, from io.Reader) error {
	switch {
	case e.Mode.IsDir() && h.Typeflag == tar.TypeDir:
		if e.Path == "." {
			return nil
		}
		return root.Mkdir(e.Path, 0o700)
	case e.Mode&fs.ModeSymlink != 0 && h.Typeflag == tar.TypeSymlink:
		return root.Symlink(e.Link, e.Path)
	case e.Mode.IsRegular() && h.Typeflag == tar.TypeReg && h.Size == e.Size:
		f, err := root.OpenFile(e.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return err
		}
		_, err = io.CopyN(f, from, e.Size)
		if err == nil {
			err = f.Chmod(e.Mode.Perm())
		}
		return errors.Join(err, f.Close())
	}
	return fmt.Errorf("its archive and its list differ in what %q is", e.Path)
}
