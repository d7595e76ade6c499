package workspace

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"pipex/lib/internal/trace"
)

// Scratch returns an unused path below .pipex/tmp. owner is a run whose lock the
// caller holds, or linking for a caller that holds the state lock. The path begins
// with owner: after a crash, prune sees that nobody holds the owner's lock and removes
// the file.
func (ws *Workspace) Scratch(owner string) (string, error) {
	if err := ws.ensure(filepath.Join(private, "tmp")); err != nil {
		return "", err
	}
	return ws.path(private, "tmp", owner+"."+uuid.NewString()), nil
}

// Part opens a temporary file for a download that may go on later; it has the same name for the same run and digest. The
// caller holds the run's lock.
func (ws *Workspace) Part(run, digest string) (*os.File, error) {
	if err := ws.ensure(filepath.Join(private, "tmp")); err != nil {
		return nil, err
	}
	return os.OpenFile(ws.path(private, "tmp", run+"."+digest), os.O_RDWR|os.O_CREATE, 0o600)
}

// linking is the owner of the temporary files of link and state.json. No run can have
// this name.
const linking = ".state"

// replaceFile writes data to path atomically: temporary file, fsync(2), rename(2). It
// does not sync the directory. Until the caller does, power loss may bring back the
// old file.
func (ws *Workspace) replaceFile(owner, path string, data []byte) error {
	tmp, err := ws.Scratch(owner)
	if err != nil {
		return err
	}
	defer os.Remove(tmp)
	if err := writeSynced(tmp, data); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// draft is a file or symbolic link that is to replace another one, by rename(2), so that the
// other one is never missing. The zero value replaces nothing.
type draft struct{ tmp, path string }

// draftLink makes a symbolic link to target that is to become path.
func (ws *Workspace) draftLink(path, target string) (d draft, err error) {
	if d.tmp, err = ws.Scratch(linking); err == nil {
		err = os.Symlink(target, d.tmp)
	}
	d.path = path
	return d, err
}

// publish replaces the file. It does not sync the directory.
func (d draft) publish() error {
	if d.tmp == "" {
		return nil
	}
	return os.Rename(d.tmp, d.path)
}

// drop removes the draft, unless it is published.
func (d draft) drop() {
	if d.tmp != "" {
		os.Remove(d.tmp)
	}
}

// writeSynced writes a new file, and syncs it.
func writeSynced(path string, data []byte) error {
	return fillSynced(path, func(f *os.File) error {
		_, err := f.Write(data)
		return err
	})
}

// fillSynced makes a new file, has fill write it, and syncs it.
func fillSynced(path string, fill func(*os.File) error) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}()
	if err := fill(f); err != nil {
		return err
	}
	return sync(f)
}

// sync writes out what a file holds. It is where most of the time goes on a slow disk.
func sync(f *os.File) error {
	dir, of := filepath.Split(f.Name())
	if filepath.Base(dir) == "tmp" {
		of = "a new file" // its name says nothing
	}
	_, part := trace.Start(context.Background(), "sync", of)
	defer part.End()
	return f.Sync()
}

// overwrite replaces the content of an existing file in place, and syncs it.
func overwrite(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Truncate(int64(len(data))); err != nil {
		return err
	}
	return sync(f)
}

// syncPath makes a file's data, or a directory's names, survive power loss.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return sync(f)
}

// encode returns v as JSON in the form of all our files: indented by two blanks, as
// @livingdata/pipex does, with a final newline, and without escaping <, > and &.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return b.Bytes(), err
}

// readFile reads a JSON file, at most limit bytes of it. An empty file is an error. It waits for
// nobody, if the file is a pipe. os.Open would make six calls more, since the file might be one
// that can be polled, and make reads a file for each step.
func readFile(path string, limit int64) ([]byte, error) {
	fd, err := retried(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0) })
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var info unix.Stat_t
	if err := unix.Fstat(fd, &info); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	data := make([]byte, 0, min(info.Size, limit)+1)
	for n := 1; n > 0 && int64(len(data)) < limit; data = data[:len(data)+n] {
		data = slices.Grow(data, 1)
		if n, err = retried(func() (int, error) { return unix.Read(fd, data[len(data):cap(data)]) }); err != nil {
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		}
	}
	if len(data) == 0 {
		return nil, errors.New("the file is empty")
	}
	return data[:min(int64(len(data)), limit)], nil
}

// retried makes a system call again while a signal interrupts it.
func retried(call func() (int, error)) (n int, err error) {
	for {
		if n, err = call(); err != unix.EINTR {
			return n, err
		}
	}
}
