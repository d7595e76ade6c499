package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"pipex/lib/cli"
	"pipex/lib/workspace"
)

// show prints a file or lists a directory. It opens nothing outside the artifacts, and no
// FIFO or device, even if a step that still runs puts one in the place of a file.
func show(r workspace.Run, path string) error {
	if info, err := os.Lstat(r.Artifacts()); err != nil {
		return err
	} else if !info.IsDir() {
		return errors.New("the artifacts are not a directory")
	}
	root, err := os.OpenRoot(r.Artifacts())
	if err != nil {
		return err
	}
	defer root.Close()
	info, err := root.Stat(path)
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		err = fmt.Errorf("it is neither a file nor a directory, but %s", info.Mode().Type())
	}
	if err != nil {
		return cause(err)
	}
	f, err := root.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return cause(err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return err
	}
	switch {
	case info.IsDir():
		return list(f)
	case info.Mode().IsRegular():
		_, err = io.Copy(os.Stdout, f)
		return err
	}
	return errors.New("it has changed while it was opened")
}

// cause returns an error without the operation and the path, which the caller knows.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func list(dir *os.File) error {
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return err
	}
	var text strings.Builder
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, e := range entries {
		text.WriteString(cli.Harmless(e.Name()))
		if e.IsDir() {
			text.WriteByte('/')
		}
		text.WriteByte('\n')
	}
	_, err = os.Stdout.WriteString(text.String())
	return err
}
