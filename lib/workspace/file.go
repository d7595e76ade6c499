package workspace

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/google/uuid"
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

// replaceLink makes path a symbolic link to target, and syncs its directory. It renames
// a new link over the old one (rename(2)), so that path is never missing.
func (ws *Workspace) replaceLink(path, target string) error {
	tmp, err := ws.Scratch(linking)
	if err != nil {
		return err
	}
	defer os.Remove(tmp)
	if err := os.Symlink(target, tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncPath(filepath.Dir(path))
}

func writeSynced(path string, data []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}()
	if _, err := f.Write(data); err != nil {
		return err
	}
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
	return f.Sync()
}

// syncPath makes a file's data, or a directory's names, survive power loss.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
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
