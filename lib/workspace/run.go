package workspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"pipex/lib/name"
	"pipex/lib/tree"
)

// Run is one execution of a step: a directory with artifacts/, meta.json,
// stdout.log and stderr.log, and once committed a manifest of the artifacts.
type Run struct {
	ID        string
	Dir       string
	Committed bool
}

// Artifacts is the directory that the step fills.
func (r Run) Artifacts() string { return filepath.Join(r.Dir, "artifacts") }

// Stdout is the log of the step's standard output.
func (r Run) Stdout() string { return filepath.Join(r.Dir, "stdout.log") }

// Stderr is the log of the step's standard error.
func (r Run) Stderr() string { return filepath.Join(r.Dir, "stderr.log") }

// Terminal is what comes out of the terminal of an exec that is under way, and
// has one, before it is in the log.
func (r Run) Terminal() string { return filepath.Join(r.Dir, "terminal") }

// Manifest lists a committed run's artifacts in the form of mtree(5).
func (r Run) Manifest() string { return filepath.Join(r.Dir, "artifacts.mtree") }

func (ws *Workspace) staged(id string) Run { return Run{ID: id, Dir: ws.path(stagingDir, id)} }

func (ws *Workspace) draft(id string) Run { return Run{ID: id, Dir: ws.path(private, "new", id)} }

func (ws *Workspace) committed(id string) Run {
	return Run{ID: id, Dir: ws.path(runsDir, id), Committed: true}
}

// Run finds a run, committed or open. The error wraps [ErrNoRun] when there is
// none. A run that is open now may be committed or gone a moment later: hold
// its lock to rely on it.
func (ws *Workspace) Run(id string) (Run, error) {
	if err := name.Check("run", id); err != nil {
		return Run{}, err
	}
	// An open run becomes a committed one, never the reverse: looking there
	// first and last leaves no gap.
	for _, r := range []Run{ws.committed(id), ws.staged(id), ws.committed(id)} {
		if exists, err := isDir(r.Dir); err != nil {
			return Run{}, fmt.Errorf("cannot open run %q: %w", id, err)
		} else if exists {
			return r, nil
		}
	}
	return Run{}, fmt.Errorf("%w %q in workspace %q", ErrNoRun, id, ws.ID)
}

// OpenRun finds a run that is still open; the error wraps [ErrCommitted] for
// one that is committed.
func (ws *Workspace) OpenRun(id string) (Run, error) {
	r, err := ws.Run(id)
	if err == nil && r.Committed {
		return r, fmt.Errorf("run %q is %w", id, ErrCommitted)
	}
	return r, err
}

// Runs lists the committed runs by id, so that older ones come first.
func (ws *Workspace) Runs() ([]Run, error) { return ws.list(runsDir, ws.committed) }

// OpenRuns lists the runs in staging by id.
func (ws *Workspace) OpenRuns() ([]Run, error) { return ws.list(stagingDir, ws.staged) }

func (ws *Workspace) list(dir string, run func(string) Run) ([]Run, error) {
	names, err := subdirectories(ws.path(dir))
	if err != nil {
		return nil, fmt.Errorf("cannot list runs of workspace %q: %w", ws.ID, err)
	}
	runs := make([]Run, len(names))
	for i, name := range names {
		runs[i] = run(name)
	}
	return runs, nil
}

// Stage makes the open run m.RunID: complete in staging, with its record and
// whatever fill puts into its artifacts, or not at all. fill may be nil. The
// error wraps [ErrExists] when the id is taken.
//
// The caller holds the run's lock, and the workspace's shared since before it
// chose the run's inputs; Stage releases shared as soon as the record protects
// them, since fill may take long.
func (ws *Workspace) Stage(m *Meta, shared *Lock, fill func(Run) error) (Run, error) {
	if err := name.Check("run", m.RunID); err != nil {
		return Run{}, err
	}
	run, err := ws.stage(m, shared, fill)
	if err != nil {
		return run, fmt.Errorf("cannot prepare run %q: %w", m.RunID, err)
	}
	return run, nil
}

func (ws *Workspace) stage(m *Meta, shared *Lock, fill func(Run) error) (run Run, err error) {
	if _, err := ws.Run(m.RunID); err == nil {
		return run, ErrExists
	}
	if err := ws.ensure(stagingDir, runsDir, private+"/new"); err != nil {
		return run, err
	}
	// Built out of sight of whoever lists staging. mkdir is the claim.
	draft := ws.draft(m.RunID)
	if err := os.Mkdir(draft.Dir, 0o777); err != nil {
		// We hold the run's lock: what stands there is what a crash left.
		if err := os.RemoveAll(draft.Dir); err != nil {
			return run, err
		}
		if err := os.Mkdir(draft.Dir, 0o777); err != nil {
			return run, err
		}
	}
	defer func() {
		if err != nil {
			os.RemoveAll(draft.Dir)
		}
	}()
	if err := os.Mkdir(draft.Artifacts(), 0o777); err != nil {
		return run, err
	}
	for _, log := range []string{draft.Stdout(), draft.Stderr()} {
		if err := os.WriteFile(log, nil, 0o666); err != nil {
			return run, err
		}
	}
	data, err := encode(m)
	if err != nil {
		return run, err
	}
	if err := writeSynced(filepath.Join(draft.Dir, "meta.json"), data); err != nil {
		return run, err
	}
	shared.Release()
	if fill != nil {
		if err := fill(draft); err != nil {
			return run, err
		}
	}
	run = ws.staged(m.RunID)
	if err := renameNew(draft.Dir, run.Dir); err != nil {
		return run, err
	}
	// Whoever had this id before us left staging for runs before our rename
	// could succeed, so looking now is not too early.
	if exists, _ := isDir(ws.path(runsDir, m.RunID)); exists {
		os.RemoveAll(run.Dir)
		return run, ErrExists
	}
	return run, nil
}

// Commit freezes an open run: its artifacts are sealed and listed in a
// manifest, m is written as its record, everything is synced, and a rename
// moves it from staging to runs. When Commit has returned nil the run survives
// power loss; before the rename it is as open as it was.
//
// The caller holds the run's lock. Commit takes the workspace lock, shared,
// for the rename. A run that cannot be listed, because it holds a device, a
// socket or a FIFO, stays open; see [tree.SpecialError].
func (ws *Workspace) Commit(ctx context.Context, r Run, m *Meta) (Run, error) {
	done, err := ws.commit(ctx, r, m)
	if err != nil {
		return r, fmt.Errorf("cannot commit run %q: %w", r.ID, err)
	}
	return done, nil
}

func (ws *Workspace) commit(ctx context.Context, r Run, m *Meta) (Run, error) {
	content, err := tree.Seal(ctx, r.Artifacts())
	if err != nil {
		return r, err
	}
	m.Artifacts = &Artifacts{Digest: content.Digest(), Files: content.Files(), Bytes: content.Bytes()}
	if err := ws.writeManifest(r, content); err != nil {
		return r, err
	}
	if err := ws.WriteMeta(r, m); err != nil {
		return r, err
	}
	for _, path := range []string{r.Stdout(), r.Stderr(), r.Dir} {
		if err := syncPath(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return r, err
		}
	}
	if err := ws.ensure(runsDir); err != nil {
		return r, err
	}
	lock, err := ws.Shared(ctx)
	if err != nil {
		return r, err
	}
	defer lock.Release()
	if err := ws.enter(m); err != nil {
		return r, err
	}
	done := ws.committed(r.ID)
	if err := renameNew(r.Dir, done.Dir); err != nil {
		return r, err
	}
	for _, dir := range []string{runsDir, stagingDir} {
		if err := syncPath(ws.path(dir)); err != nil {
			return r, err
		}
	}
	return done, nil
}

// Discard removes an open run. The caller holds its lock. The run leaves
// staging in one rename; what a crash leaves of it afterwards is trash.
func (ws *Workspace) Discard(r Run) error {
	trash, err := ws.toTrash(r)
	if err == nil {
		err = os.RemoveAll(trash)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot discard run %q: %w", r.ID, err)
	}
	return nil
}

// Age is how long ago a run was last touched: an open one by prepare or by the
// beginning or end of an exec, a committed one by commit or by Touch. It is
// negative if the clocks of two machines differ, and zero if the run is gone.
func (r Run) Age() time.Duration {
	info, err := os.Stat(r.Dir)
	if err != nil {
		return 0
	}
	return time.Since(info.ModTime())
}

// Touch makes a committed run as young as a new one, for a caller that has found
// it by its fingerprint and is going to give it a name: until then its age is all
// that keeps prune from removing it. The caller holds the workspace lock, shared.
func (ws *Workspace) Touch(id string) error {
	now := time.Now()
	return os.Chtimes(ws.committed(id).Dir, now, now)
}

// toTrash takes a run out of sight in one rename and returns where it is now.
func (ws *Workspace) toTrash(r Run) (string, error) {
	trash, err := ws.Scratch(r.ID)
	if err != nil {
		return "", err
	}
	return trash, os.Rename(r.Dir, trash)
}

// renameNew renames a directory to a name that must not exist. Where the file
// system has no RENAME_NOREPLACE (renameat2(2)) a plain rename is as good: it
// replaces empty directories only, and a run's is never empty.
func renameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		err = unix.Rename(from, to)
	}
	if errors.Is(err, unix.EEXIST) || errors.Is(err, unix.ENOTEMPTY) {
		return ErrExists
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// Verify compares the artifacts of a committed run with its manifest, byte for
// byte, and returns in what they differ. An error means that they cannot be
// compared: no manifest, because another tool committed the run, or one that is
// damaged. It takes no lock.
func (ws *Workspace) Verify(ctx context.Context, r Run) ([]tree.Difference, error) {
	differences, err := ws.verify(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("cannot verify run %q: %w", r.ID, err)
	}
	return differences, nil
}

func (ws *Workspace) verify(ctx context.Context, r Run) ([]tree.Difference, error) {
	m, err := r.Meta()
	if err != nil {
		return nil, err
	}
	list, err := os.Open(r.Manifest())
	if err != nil {
		return nil, err
	}
	defer list.Close()
	want, err := tree.ReadManifest(list)
	if err == nil && m.Artifacts != nil && m.Artifacts.Digest != want.Digest() {
		err = fmt.Errorf("its manifest is not the one that meta.json speaks of: %s", m.Artifacts.Digest)
	}
	if err != nil {
		return nil, err
	}
	is, err := tree.Scan(ctx, r.Artifacts(), tree.RecordSpecial())
	if err != nil {
		return nil, err
	}
	return want.Compare(is), nil
}

func isDir(path string) (bool, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.IsDir(), err
}

// writeManifest puts the list of a run's artifacts beside them, durably.
func (ws *Workspace) writeManifest(r Run, content *tree.Tree) error {
	var list bytes.Buffer
	if err := content.WriteManifest(&list); err != nil {
		return err
	}
	return ws.replaceFile(r.ID, r.Manifest(), list.Bytes())
}
