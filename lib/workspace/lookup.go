package workspace

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"pipex/lib/name"
)

// fingerprintsDir holds a directory for each fingerprint, and in it an empty file
// for each successful run that has it: a lookup opens one directory, however many
// runs there are. A name may outlive its run, so whoever finds one looks at the
// run itself. Without the directory, as in a workspace of another tool, the runs
// themselves are read.
const fingerprintsDir = private + "/fingerprints"

// fingerprintForm is what may become a directory's name.
var fingerprintForm = regexp.MustCompile(`^[0-9A-Za-z]{1,128}$`)

// Lookup finds the latest committed, successful run with a fingerprint, linked or
// not. It returns no id and no error if there is none. The caller holds the
// workspace lock, shared, for as long as it needs the run.
func (ws *Workspace) Lookup(fingerprint string) (string, error) {
	if !fingerprintForm.MatchString(fingerprint) {
		return "", nil
	}
	names, err := os.ReadDir(ws.path(fingerprintsDir, fingerprint))
	if errors.Is(err, fs.ErrNotExist) {
		if _, missing := os.Lstat(ws.path(fingerprintsDir)); missing == nil {
			return "", nil
		}
		names, err = os.ReadDir(ws.path(runsDir))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	for _, n := range slices.Backward(names) {
		if name.Check("run", n.Name()) == nil && ws.committed(n.Name()).offered() == fingerprint {
			return n.Name(), nil
		}
	}
	return "", nil
}

// offered is the fingerprint that a committed run answers to: none, if it failed or
// its record cannot be read.
func (r Run) offered() string {
	m, err := r.Meta()
	if err != nil || m.Status != Success {
		return ""
	}
	return m.Fingerprint
}

// Index makes the directory of fingerprints if there is none, from all committed
// runs. It takes the workspace lock, alone, if it has to.
func (ws *Workspace) Index(ctx context.Context) error {
	if _, err := os.Lstat(ws.path(fingerprintsDir)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	lock, err := ws.exclusive(ctx)
	if err != nil {
		return err
	}
	defer lock.Release()
	draft, err := ws.Scratch(linking)
	if err == nil {
		err = os.Mkdir(draft, 0o777)
	}
	if err != nil {
		return err
	}
	defer os.RemoveAll(draft)
	runs, err := ws.Runs()
	for _, run := range runs {
		if err == nil {
			err = addName(draft, run.offered(), run.ID)
		}
	}
	if err == nil {
		err = renameNew(draft, ws.path(fingerprintsDir))
	}
	if errors.Is(err, ErrExists) {
		return nil // another process has made it meanwhile
	}
	return err
}

// enter notes the fingerprint of a run that is being committed. The caller holds
// the workspace lock, shared, until the run is in runs/: so a directory that is
// made afterwards has the run as well.
func (ws *Workspace) enter(m *Meta) error {
	if _, err := os.Lstat(ws.path(fingerprintsDir)); err != nil || m.Status != Success {
		return nil
	}
	return addName(ws.path(fingerprintsDir), m.Fingerprint, m.RunID)
}

func addName(dir, fingerprint, id string) error {
	if !fingerprintForm.MatchString(fingerprint) {
		return nil
	}
	dir = filepath.Join(dir, fingerprint)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, id), nil, 0o666)
}

// leave removes the name of a run that is gone, and the directory with the last one.
func (ws *Workspace) leave(fingerprint, id string) {
	if fingerprintForm.MatchString(fingerprint) {
		dir := ws.path(fingerprintsDir, fingerprint)
		os.Remove(filepath.Join(dir, id))
		os.Remove(dir) // fails while it has others
	}
}
