package workspace

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/google/uuid"
)

// Scratch returns a path below .pipex/tmp that nothing else uses, on behalf of
// a run whose lock the caller holds, or of linking under the state lock. What
// a crash leaves there is therefore known by its name to be nobody's, and
// prune removes it.
func (ws *Workspace) Scratch(owner string) (string, error) {
	if err := ws.ensure(filepath.Join(private, "tmp")); err != nil {
		return "", err
	}
	return ws.path(private, "tmp", owner+"."+uuid.NewString()), nil
}

// linking owns what link and state.json are written with; no run is called so.
const linking = ".state"

// replaceFile puts data at path, whole or not at all: temporary file, fsync,
// rename (rename(2), fsync(2)). Power loss may bring back what was there before
// until the directory is synced, which is left to the caller.
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

// replaceLink puts a symbolic link to target at path. There is no moment at
// which path is missing: a new link is renamed over the old one (rename(2)).
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

// syncPath makes a file's data, or a directory's names, survive power loss.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// encode is the one JSON form of our files: two blanks of indentation, as
// @livingdata/pipex writes it, a final newline, and <, > and & as themselves.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return b.Bytes(), err
}
