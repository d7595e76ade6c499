package workspace

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"pipex/lib/name"
)

// OpenArtifact opens a file or directory of what a run has produced, to read it. It opens nothing
// outside the artifacts, whatever a symbolic link says, and no FIFO or device, even if a step that still runs
// puts one in the place of a file. The error does not name the path; it wraps [fs.ErrNotExist] if
// there is none.
func (r Run) OpenArtifact(path string) (f *os.File, err error) {
	if info, err := os.Lstat(r.Artifacts()); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return nil, errors.New("the artifacts are not a directory")
	}
	root, err := os.OpenRoot(r.Artifacts())
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Stat(path)
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		err = fmt.Errorf("it is neither a file nor a directory, but %s", info.Mode().Type())
	}
	if err != nil {
		return nil, name.Reason(err)
	}
	if f, err = root.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0); err != nil {
		return nil, name.Reason(err)
	}
	if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		err = errors.New("it has changed while it was opened")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
