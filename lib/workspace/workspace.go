// Package workspace is the half of pipex that is on disk: the directories in which
// runs are staged, committed, linked and removed. It does not use containerd.
//
// A workspace is one directory below a workdir:
//
//	staging/RUN/     an open run
//	runs/RUN/        a committed run, immutable
//	step-runs/STEP   symlink to ../runs/RUN
//	caches/NAME/     persistent, read-write, removed only when asked
//	state.json       the same links, in the form that @livingdata/pipex reads
//	.pipex/          private: locks, trash, temporary files, an index, hashes
//
// Files are never changed in place: every change is a rename, so that a crash at any
// instruction leaves either the old or the new state. lock.go says which lock protects
// what.
package workspace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"golang.org/x/sys/unix"

	"pipex/lib/name"
)

var (
	// ErrNoWorkspace says that no workspace of that name exists.
	ErrNoWorkspace = errors.New("no such workspace")
	// ErrNoRun says that a run is neither open nor committed.
	ErrNoRun = errors.New("no such run")
	// ErrNoStep says that a step is not linked to a run.
	ErrNoStep = errors.New("no such step")
	// ErrNoCache says that a workspace has no cache of that name.
	ErrNoCache = errors.New("no such cache")
	// ErrRunning says that the command of a run goes on, although no process waits for it.
	ErrRunning = errors.New("still running")
	// ErrInUse says that an open run uses what is to be removed.
	ErrInUse = errors.New("in use by")
	// ErrExists says that an id is already in use.
	ErrExists = errors.New("already exists")
	// ErrCommitted says that a run is committed and cannot change any more.
	ErrCommitted = errors.New("already committed")
	// ErrNotCommitted says that a run is open where a committed one is needed.
	ErrNotCommitted = errors.New("not committed")
	// ErrDamaged says that a committed run has changed since it was committed.
	ErrDamaged = errors.New("damaged")
	// ErrNoManifest says that a committed run has no manifest, because another tool has
	// committed it.
	ErrNoManifest = errors.New("there is no manifest: another tool has committed the run")
	// ErrNotSuccessful says that a run's command never succeeded.
	ErrNotSuccessful = errors.New("not successful")
)

// The directories of a workspace. Other tools do not use private.
const (
	stagingDir = "staging"
	runsDir    = "runs"
	linksDir   = "step-runs"
	cachesDir  = "caches"
	private    = ".pipex"
)

// Workspace is an existing workspace. It holds no resources and need not be closed. Any
// number of goroutines and processes may use its methods at once.
type Workspace struct {
	// ID is the workspace's name.
	ID string
	// Root is its absolute path, free of symbolic links.
	Root string
}

// Create creates the workspace id below workdir, with its directories, and opens it. If
// it exists, Create only opens it. If id is empty, Create makes a new id. It takes no
// lock.
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

// Open opens the workspace id below workdir. It creates nothing and takes no lock. The
// error wraps [ErrNoWorkspace] if the workspace does not exist.
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
		others, _ := List(workdir)
		hint := name.DidYouMean(id, others)
		if hint == "" {
			hint = "; pipex-prepare makes it, --workdir and --workspace name another"
		}
		return nil, fmt.Errorf("%w %q in %q%s", ErrNoWorkspace, id, workdir, hint)
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

// List returns the names of the workspaces below workdir, sorted: of the directories
// that have room for runs. There are none if workdir does not exist.
func List(workdir string) ([]string, error) {
	names, err := subdirectories(workdir, name.Workspace)
	return slices.DeleteFunc(names, func(id string) bool { return !Exists(workdir, id) }), err
}

// Exists reports whether workdir has a workspace id: a directory that has room for runs.
func Exists(workdir, id string) bool {
	for _, dir := range []string{stagingDir, runsDir} {
		if is, _ := isDir(filepath.Join(workdir, id, dir)); is {
			return true
		}
	}
	return false
}

// path joins names to the workspace's root. The caller has checked the names.
func (ws *Workspace) path(names ...string) string {
	return filepath.Join(append([]string{ws.Root}, names...)...)
}

// ensure creates directories that a workspace of another tool may lack. It never creates
// the workspace itself, which another process may have removed.
func (ws *Workspace) ensure(dirs ...string) error {
	for _, dir := range dirs {
		path := ws.Root
		for part := range strings.SplitSeq(dir, "/") {
			path = filepath.Join(path, part)
			if err := os.Mkdir(path, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
	}
	return nil
}

// subdirectories returns the names of the directories in dir, sorted. It skips files,
// symbolic links, and names that [name.Check] refuses.
func subdirectories(dir, kind string) ([]string, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0) // no FIFO is waited for
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && name.Check(kind, e.Name()) == nil {
			names = append(names, e.Name())
		}
	}
	sort.Strings(names)
	return names, nil
}
