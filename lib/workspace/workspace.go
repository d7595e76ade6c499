// Package workspace is the half of pipex that lives on disk: the directories
// in which runs are staged, committed, named and forgotten. It knows no
// containerd.
//
// A workspace is one directory below a workdir:
//
//	staging/RUN/     an open run
//	runs/RUN/        a committed run, immutable
//	step-runs/STEP   symlink to ../runs/RUN
//	caches/NAME/     persistent, read-write, never removed unasked
//	state.json       the same names, as @livingdata/pipex reads them
//	.pipex/          ours alone: locks, trash, temporary files
//
// State lives in names and renames, never in contents changed in place, so
// that a crash at any instruction leaves either the old or the new state.
// Which lock protects what is told in lock.go.
package workspace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"

	"pipex/lib/name"
)

var (
	// ErrNoWorkspace says that no workspace of that name exists.
	ErrNoWorkspace = errors.New("no such workspace")
	// ErrNoRun says that a run is neither open nor committed.
	ErrNoRun = errors.New("no such run")
	// ErrNoStep says that no run bears the step's name.
	ErrNoStep = errors.New("no such step")
	// ErrExists says that an id is taken already.
	ErrExists = errors.New("already exists")
	// ErrCommitted says that a run is committed and cannot change any more.
	ErrCommitted = errors.New("already committed")
	// ErrNotCommitted says that a run is open where a committed one is needed.
	ErrNotCommitted = errors.New("not committed")
	// ErrDamaged says that a committed run is not what was committed.
	ErrDamaged = errors.New("damaged")
	// ErrNotSuccessful says that a run's command never succeeded.
	ErrNotSuccessful = errors.New("not successful")
)

// The directories of a workspace. private is ours alone.
const (
	stagingDir = "staging"
	runsDir    = "runs"
	linksDir   = "step-runs"
	cachesDir  = "caches"
	private    = ".pipex"
)

// Workspace is an existing workspace. It holds no resources and need not be
// closed; its methods may be used from any number of processes at once.
type Workspace struct {
	// ID is the workspace's name.
	ID string
	// Root is its absolute path, free of symbolic links.
	Root string
}

// Create makes the workspace id below workdir, with its directories, and opens
// it. One that exists is opened as it is. An empty id means a new one.
func Create(workdir, id string) (*Workspace, error) {
	if id == "" {
		id = name.NewID()
	}
	if err := name.Check("workspace", id); err != nil {
		return nil, err
	}
	root, err := filepath.Abs(filepath.Join(workdir, id))
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{stagingDir, runsDir, linksDir, cachesDir, private} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o777); err != nil {
			return nil, fmt.Errorf("cannot create workspace %q: %w", id, err)
		}
	}
	return Open(workdir, id)
}

// Open opens the workspace id below workdir and creates nothing. The error
// wraps [ErrNoWorkspace] when there is none.
func Open(workdir, id string) (*Workspace, error) {
	if err := name.Check("workspace", id); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(filepath.Join(workdir, id))
	if err != nil {
		return nil, err
	}
	root, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w %q in %q; pipex-prepare makes it, --workdir and --workspace name another", ErrNoWorkspace, id, workdir)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open workspace %q: %w", id, err)
	}
	if info, err := os.Stat(root); err != nil {
		return nil, fmt.Errorf("cannot open workspace %q: %w", id, err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("cannot open workspace %q: %q is not a directory", id, path)
	}
	return &Workspace{ID: id, Root: root}, nil
}

// List returns the names of the workspaces below workdir, sorted. A workdir
// that does not exist holds none.
func List(workdir string) ([]string, error) {
	return subdirectories(workdir)
}

// Remove deletes the workspace id below workdir with all its runs and caches.
// It is refused while a process holds one of its runs; one that is gone is
// success. It takes the workspace lock, exclusive, and knows nothing of
// containers: discard the open runs first.
func Remove(workdir, id string) error {
	ws, err := Open(workdir, id)
	if errors.Is(err, ErrNoWorkspace) {
		return nil
	}
	if err != nil {
		return err
	}
	lock, err := ws.tryExclusive()
	if err != nil {
		return err
	}
	defer lock.Release()
	open, err := ws.OpenRuns()
	if err != nil {
		return err
	}
	for _, run := range open {
		held, err := ws.HoldRun(run.ID, "remove")
		if err != nil {
			return err
		}
		defer held.Release()
	}
	return os.RemoveAll(ws.Root)
}

// path joins names below the workspace's root; every caller has checked them.
func (ws *Workspace) path(names ...string) string {
	return filepath.Join(append([]string{ws.Root}, names...)...)
}

// ensure makes the directories that a workspace of another tool may lack.
func (ws *Workspace) ensure(dirs ...string) error {
	for _, dir := range dirs {
		if err := os.MkdirAll(ws.path(dir), 0o777); err != nil {
			return err
		}
	}
	return nil
}

// subdirectories lists the names of the directories in dir, sorted; files,
// symbolic links and names that are no valid names are passed over.
func subdirectories(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && name.Check("entry", e.Name()) == nil {
			names = append(names, e.Name())
		}
	}
	sort.Strings(names)
	return names, nil
}
