package workspace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pipex/lib/name"
)

// fingerprintsDir holds one directory per fingerprint, with an empty file RUN for each
// successful run that has it. So a lookup reads one directory, however many runs there
// are. A file may outlive its run, therefore a lookup checks the run itself. If the
// whole directory is missing, as in a workspace of another tool, a lookup reads the
// records of all runs.
const fingerprintsDir = private + "/fingerprints"

// isFingerprint tells whether a fingerprint is safe as a directory's name. It comes from
// meta.json, which another tool may have written.
func isFingerprint(s string) bool {
	const inside = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	return s != "" && len(s) <= 128 && strings.Trim(s, inside) == ""
}

// Lookup returns the id of the latest committed, successful run with a fingerprint,
// whether a step is linked to it or not. It returns "" and no error if there is none. It
// passes over runs that are not intact, and calls warn with the reason. The caller holds
// the workspace lock, shared, for as long as it needs the run.
func (ws *Workspace) Lookup(ctx context.Context, fingerprint string, warn func(error)) (string, error) {
	if !isFingerprint(fingerprint) {
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
		if name.Check("run", n.Name()) != nil {
			continue
		}
		r := ws.committed(n.Name())
		m, err := r.Meta()
		if err != nil || m.offered() != fingerprint {
			continue
		}
		if err := ws.Intact(ctx, r, m); err == nil {
			return r.ID, nil
		} else if ctx.Err() != nil {
			return "", err
		} else {
			warn(fmt.Errorf("%w; it is not reused", err))
		}
	}
	return "", nil
}

// offered returns the fingerprint under which a lookup may return the run: none if its
// record cannot be read.
func (r Run) offered() string {
	m, err := r.Meta()
	if err != nil {
		return ""
	}
	return m.offered()
}

// offered returns the fingerprint under which a lookup may return the run: none if the
// run failed, or if its inputs changed while it ran.
func (m *Meta) offered() string {
	if m.Status != Success || len(m.ChangedInputs) > 0 {
		return ""
	}
	return m.Fingerprint
}

// Index creates the directory of fingerprints from all committed runs. If the directory
// exists, Index does nothing; else it takes the workspace lock, exclusive.
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

// enter adds a run that is being committed to the directory of fingerprints, if there is
// one. The caller holds the workspace lock, shared, until the run is in runs/: an Index
// that creates the directory later then finds the run there.
func (ws *Workspace) enter(m *Meta) error {
	if _, err := os.Lstat(ws.path(fingerprintsDir)); err != nil {
		return nil
	}
	return addName(ws.path(fingerprintsDir), m.offered(), m.RunID)
}

func addName(dir, fingerprint, id string) error {
	if !isFingerprint(fingerprint) {
		return nil
	}
	dir = filepath.Join(dir, fingerprint)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, id), nil, 0o666)
}

// leave removes a run from the directory of fingerprints.
func (ws *Workspace) leave(fingerprint, id string) {
	if isFingerprint(fingerprint) {
		dir := ws.path(fingerprintsDir, fingerprint)
		os.Remove(filepath.Join(dir, id))
		os.Remove(dir) // fails if other runs have this fingerprint, as it should
	}
}
