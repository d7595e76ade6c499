package workspace

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// answersDir has the answers that pipex-pipeline last gave to make, with what it looked at for
// them. Any file in it may be removed at any time.
const answersDir = private + "/answers"

const (
	// maxAnswer is more than the answer for a hundred thousand steps takes, in bytes.
	maxAnswer = 256 << 20
	// maxAnswers is how many are kept: one for each Makefile and each set of options that
	// somebody goes back to.
	maxAnswers = 16
)

// Answer returns what KeepAnswer has kept under a name. It refuses a file that another user can
// write: make runs what the file says. Whether the content is whole is for the caller to check.
func (ws *Workspace) Answer(key string) ([]byte, error) {
	fd, err := retried(func() (int, error) {
		return unix.Open(ws.path(answersDir, key), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	})
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var info unix.Stat_t
	if err := unix.Fstat(fd, &info); err != nil {
		return nil, err
	}
	if info.Mode&unix.S_IFMT != unix.S_IFREG || info.Mode&0o022 != 0 || info.Uid != uint32(os.Geteuid()) || info.Size > maxAnswer {
		return nil, fs.ErrPermission
	}
	data := make([]byte, info.Size)
	for at := 0; at < len(data); {
		n, err := retried(func() (int, error) { return unix.Read(fd, data[at:]) })
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, io.ErrUnexpectedEOF
		}
		at += n
	}
	return data, nil
}

// KeepAnswer keeps data under a name, in place of what was there, and removes the oldest answers
// if there are many. Only the caller can read or write the file. It is replaced by a rename and
// not synced, and no lock is taken: of several that are kept at once, the last one stays.
func (ws *Workspace) KeepAnswer(key string, data []byte) error {
	if err := ws.ensure(answersDir); err != nil {
		return err
	}
	ws.forgetAnswers()
	f, err := os.CreateTemp(ws.path(answersDir), key+".tmp*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), ws.path(answersDir, key))
}

// forgetAnswers makes room for one more. What a process that was killed has left counts, too.
func (ws *Workspace) forgetAnswers() {
	entries, _ := os.ReadDir(ws.path(answersDir))
	if len(entries) < maxAnswers {
		return
	}
	age := func(e fs.DirEntry) time.Time {
		info, err := e.Info()
		if err != nil {
			return time.Time{}
		}
		return info.ModTime()
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return age(a).Compare(age(b)) })
	for _, e := range entries[:len(entries)-maxAnswers+1] {
		os.Remove(ws.path(answersDir, e.Name()))
	}
}

// LinkPath returns the path of a step's link, which may not exist.
func (ws *Workspace) LinkPath(step string) string { return ws.path(linksDir, step) }

// Traces calls f with the path of each file and directory that decides what [Run.Meta] and
// [Workspace.Intact] say of a committed run. While none of them changes, they say the same.
func (ws *Workspace) Traces(id string, f func(path string)) error {
	r := ws.committed(id)
	f(filepath.Join(r.Dir, "meta.json"))
	f(ws.path(artifactsDir, id))
	return filepath.WalkDir(r.Artifacts(), func(path string, _ fs.DirEntry, err error) error {
		f(path)
		if errors.Is(err, fs.ErrNotExist) && path == r.Artifacts() {
			return nil // as another tool may leave a run
		}
		return err
	})
}

// Mark is what lstat(2) says of a path, as a text; empty if there is nothing. While it stays the
// same, nobody has changed the file or directory, or put another one in its place: only the
// kernel sets ctime. But what was changed just now may change again without another mark: since
// says when it was changed, in seconds.
func Mark(path string) (mark string, since int64, err error) {
	return markAt(path, unix.AT_SYMLINK_NOFOLLOW)
}

// MarkBehind is Mark of what a symbolic link leads to. It refuses all but regular files.
func MarkBehind(path string) (mark string, since int64, err error) { return markAt(path, 0) }

func markAt(path string, flags int) (mark string, since int64, err error) {
	var s unix.Stat_t
	_, err = retried(func() (int, error) { return 0, unix.Fstatat(unix.AT_FDCWD, path, &s, flags) })
	switch {
	case err == unix.ENOENT:
		return "", 0, nil
	case err != nil:
		return "", 0, &fs.PathError{Op: "stat", Path: path, Err: err}
	case flags == 0 && s.Mode&unix.S_IFMT != unix.S_IFREG:
		return "", 0, &fs.PathError{Op: "stat", Path: path, Err: fs.ErrInvalid}
	}
	var b [8 * 14]byte
	text := b[:0]
	for _, n := range [...]uint64{uint64(s.Dev), s.Ino, uint64(s.Size), uint64(s.Mtim.Sec), uint64(s.Mtim.Nsec),
		uint64(s.Ctim.Sec), uint64(s.Ctim.Nsec), uint64(s.Mode)} {
		text = append(strconv.AppendUint(text, n, 36), '.')
	}
	return string(text), max(s.Mtim.Sec, s.Ctim.Sec), nil
}
