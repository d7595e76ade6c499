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

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"pipex/lib/internal/trace"
	"pipex/lib/name"
	"pipex/lib/progress"
	"pipex/lib/tree"
)

// Run is a run of a step: a directory with artifacts/, meta.json, stdout.log and
// stderr.log, and, once committed, a manifest of the artifacts. It is a value that says
// where the run was found; it holds nothing open.
type Run struct {
	// ID is the run's id.
	ID string
	// Dir is the absolute path of its directory.
	Dir string
	// Committed says that the run is in runs/ and cannot change any more.
	Committed bool
}

// Artifacts returns the path of the directory that the step writes to.
func (r Run) Artifacts() string { return filepath.Join(r.Dir, "artifacts") }

// Stdout returns the path of the log of the step's standard output.
func (r Run) Stdout() string { return filepath.Join(r.Dir, "stdout.log") }

// Stderr returns the path of the log of the step's standard error.
func (r Run) Stderr() string { return filepath.Join(r.Dir, "stderr.log") }

// Terminal returns the path of the file to which containerd writes the output of a
// terminal; exec copies it from there to the log. It exists only during such an exec.
func (r Run) Terminal() string { return filepath.Join(r.Dir, "terminal") }

// Manifest returns the path of the list of a committed run's artifacts, in the format
// of mtree(5).
func (r Run) Manifest() string { return filepath.Join(r.Dir, "artifacts.mtree") }

func (ws *Workspace) staged(id string) Run { return Run{ID: id, Dir: ws.path(stagingDir, id)} }

func (ws *Workspace) draft(id string) Run { return Run{ID: id, Dir: ws.path(private, "new", id)} }

func (ws *Workspace) committed(id string) Run {
	return Run{ID: id, Dir: ws.path(runsDir, id), Committed: true}
}

// Run finds a run, committed or open. The error wraps [ErrNoRun] if it does not exist.
// It takes no lock: an open run may be committed or removed a moment later, unless the
// caller holds its lock.
func (ws *Workspace) Run(id string) (Run, error) {
	if err := name.Check("run", id); err != nil {
		return Run{}, err
	}
	// Commit may move the run from staging to runs between two looks, never back. So
	// look in runs once more at the end. If another machine has committed it, a shared file system may still
	// have it that the name is missing; opening the directory mends that (nfs(5), close-to-open consistency).
	for i, r := range []Run{ws.committed(id), ws.committed(id), ws.staged(id), ws.committed(id)} {
		if i == 1 {
			openDirectory(ws.path(runsDir))
		}
		if exists, err := isDir(r.Dir); err != nil {
			return Run{}, fmt.Errorf("cannot open run %q: %w", id, err)
		} else if exists {
			return r, nil
		}
	}
	return Run{}, fmt.Errorf("%w %q in workspace %q", ErrNoRun, id, ws.ID)
}

// openDirectory opens a directory, and closes it again.
func openDirectory(path string) {
	if fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil {
		unix.Close(fd)
	}
}

// OpenRun finds an open run. The error wraps [ErrCommitted] if the run is committed, and
// [ErrNoRun] if it does not exist.
func (ws *Workspace) OpenRun(id string) (Run, error) {
	r, err := ws.Run(id)
	if err == nil && r.Committed {
		return r, fmt.Errorf("run %q is %w", id, ErrCommitted)
	}
	return r, err
}

// Runs returns the committed runs sorted by id, which is by age.
func (ws *Workspace) Runs() ([]Run, error) { return ws.list(runsDir, ws.committed) }

// OpenRuns returns the open runs sorted by id, which is by age.
func (ws *Workspace) OpenRuns() ([]Run, error) { return ws.list(stagingDir, ws.staged) }

func (ws *Workspace) list(dir string, run func(string) Run) ([]Run, error) {
	names, err := subdirectories(ws.path(dir), "run")
	if err != nil {
		return nil, fmt.Errorf("cannot list runs of workspace %q: %w", ws.ID, err)
	}
	runs := make([]Run, len(names))
	one := run("") // all are in one directory
	for i, name := range names {
		runs[i] = one
		runs[i].ID, runs[i].Dir = name, one.Dir+"/"+name
	}
	return runs, nil
}

// Stage creates the open run m.RunID in staging with its record m and the artifacts
// that fill writes; fill may be nil. The run appears complete or not at all. The error
// wraps [ErrExists] if the id is taken.
//
// The caller holds the run's lock. It also holds shared, the workspace lock, from before
// it chose the run's inputs. Stage releases shared before it calls fill, which may take
// long: by then the record is on disk and keeps prune from removing the inputs.
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
	if err := ws.ensure(stagingDir, runsDir); err != nil {
		return run, err
	}
	// Build the run outside staging, so that nobody lists it incomplete.
	draft, err := ws.Draft(m)
	if err != nil {
		return run, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(draft.Dir)
		}
	}()
	shared.Release()
	if fill != nil {
		if err := fill(draft); err != nil {
			return run, err
		}
	}
	if err := ws.noteOwnID(m.RunID); err != nil {
		return run, err
	}
	run = ws.staged(m.RunID)
	if err := renameNew(draft.Dir, run.Dir); err != nil {
		return run, err
	}
	// Another run of this id may have been committed since we looked first. Our rename
	// succeeded only after it had left staging, so it is in runs by now.
	if exists, _ := isDir(ws.path(runsDir, m.RunID)); exists {
		os.RemoveAll(run.Dir)
		return run, ErrExists
	}
	return run, nil
}

// Draft creates a run that stands in no list, with its record m. While its lock is held,
// prune keeps its inputs; then prune removes the draft. The caller holds its lock and, until
// Draft has returned, the workspace lock, shared.
func (ws *Workspace) Draft(m *Meta) (Run, error) {
	draft := ws.draft(m.RunID)
	err := ws.ensure(private + "/new")
	if err == nil {
		err = os.RemoveAll(draft.Dir) // we hold the run's lock, so a crash left it
	}
	if err == nil {
		err = ws.fill(draft, m)
	}
	if err != nil {
		os.RemoveAll(draft.Dir)
	}
	return draft, err
}

func (ws *Workspace) fill(draft Run, m *Meta) error {
	for _, dir := range []string{draft.Dir, draft.Artifacts()} {
		if err := os.Mkdir(dir, 0o777); err != nil {
			return err
		}
	}
	for _, log := range []string{draft.Stdout(), draft.Stderr()} {
		if err := os.WriteFile(log, nil, 0o666); err != nil {
			return err
		}
	}
	data, err := encode(m)
	if err != nil {
		return err
	}
	return writeSynced(filepath.Join(draft.Dir, "meta.json"), data)
}

// Drafts returns the drafts, those that a crash has left included.
func (ws *Workspace) Drafts() ([]Run, error) { return ws.list(private+"/new", ws.draft) }

// Commit publishes an open run: it makes the artifacts read-only, lists them in a
// manifest, writes m as the run's record, syncs everything, and renames the run from
// staging to runs. After Commit has returned nil, the run survives power loss. If it
// fails before the rename, the run stays open.
//
// The caller holds the run's lock. Commit takes the workspace lock, shared, for the
// rename. Artifacts with a device, a socket or a FIFO are an error,
// [*tree.SpecialError].
func (ws *Workspace) Commit(ctx context.Context, r Run, m *Meta) (Run, error) {
	done, err := ws.commit(ctx, r, m)
	if err != nil {
		return r, fmt.Errorf("cannot commit run %q: %w", r.ID, err)
	}
	return done, nil
}

func (ws *Workspace) commit(ctx context.Context, r Run, m *Meta) (Run, error) {
	defer progress.Begin("committing", "file").End()
	sealing, part := trace.Start(ctx, "seal artifacts")
	content, err := tree.Seal(sealing, r.Artifacts())
	part.End()
	if err != nil {
		return r, err
	}
	m.Artifacts = &Artifacts{Digest: content.Digest(), Files: content.Files(), Bytes: content.Bytes()}
	if err := ws.record(ctx, r, m, content); err != nil {
		return r, err
	}
	if err := r.forget(); err != nil {
		return r, err
	}
	ws.keepGlance(r, content.Glance) // without it, the first to use the run reads the artifacts
	if err := syncPath(r.Dir); err != nil {
		return r, err
	}
	if err := ws.ensure(runsDir); err != nil {
		return r, err
	}
	lock, err := ws.Shared(ctx)
	if err != nil {
		return r, err
	}
	defer lock.Release()
	done, err := ws.publish(ctx, r, m)
	if err != nil {
		return r, err
	}
	var both errgroup.Group
	for _, dir := range []string{runsDir, stagingDir} {
		both.Go(func() error { return syncPath(ws.path(dir)) })
	}
	if err := both.Wait(); err != nil {
		return r, err
	}
	return done, nil
}

// record writes the manifest and the record of a run that is being committed, and syncs them with the
// artifacts and the logs, all at once: a journal takes as long for one file as for many.
func (ws *Workspace) record(ctx context.Context, r Run, m *Meta, content *tree.Sealed) error {
	var list bytes.Buffer
	if err := content.WriteManifest(&list); err != nil {
		return err
	}
	if err := os.WriteFile(r.Manifest(), list.Bytes(), 0o666); err != nil {
		return err
	}
	data, err := encode(m)
	if err != nil {
		return err
	}
	tmp, err := ws.Scratch(r.ID)
	if err != nil {
		return err
	}
	defer os.Remove(tmp)
	if err := os.WriteFile(tmp, data, 0o666); err != nil {
		return err
	}
	var all errgroup.Group
	all.Go(func() error { return content.Sync(ctx) })
	for _, path := range []string{r.Manifest(), tmp} {
		all.Go(func() error { return syncPath(path) })
	}
	for _, log := range []string{r.Stdout(), r.Stderr()} {
		all.Go(func() error { return syncLog(log) })
	}
	if err := all.Wait(); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(r.Dir, "meta.json"))
}

// syncLog syncs a log, if it exists and has data: the name is synced with the directory.
func syncLog(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	}
	return syncPath(path)
}

// Discard removes an open run. The caller holds its lock. The run leaves staging by one
// rename to .pipex/tmp; if a crash follows, the next prune deletes it there.
func (ws *Workspace) Discard(r Run) error {
	now := time.Now()
	os.Chtimes(ws.path(ownIDsDir, r.ID), now, now) // if there is one; its day begins now
	trash, err := ws.toTrash(r)
	if err == nil {
		err = tree.Remove(trash)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot discard run %q: %w", r.ID, err)
	}
	return nil
}

// Age returns how long ago a run was last changed: an open run by prepare or by the
// beginning or end of an exec, a committed run by commit or Touch. It may be negative if
// the clocks of two machines differ. It is zero if the run is gone.
func (r Run) Age() time.Duration {
	info, err := os.Stat(r.Dir)
	if err != nil {
		return 0
	}
	return time.Since(info.ModTime())
}

// Touch sets the age of a committed run to zero, for a caller that has found the run by
// its fingerprint and is going to link it: until then only its age keeps prune from
// removing it. The caller holds the workspace lock, shared.
func (ws *Workspace) Touch(id string) error {
	now := time.Now()
	return os.Chtimes(ws.committed(id).Dir, now, now)
}

// toTrash renames a run to .pipex/tmp and returns its new path.
func (ws *Workspace) toTrash(r Run) (string, error) {
	trash, err := ws.Scratch(r.ID)
	if err != nil {
		return "", err
	}
	if err := os.Rename(r.Dir, trash); err != nil {
		return trash, err
	}
	os.Remove(ws.path(artifactsDir, r.ID)) // an open run has none
	return trash, nil
}

// renameNew renames a directory to a name that must not exist; else the error is
// ErrExists. If the file system lacks RENAME_NOREPLACE (renameat2(2)), a plain rename
// does the same: it replaces only empty directories, and ours are never empty.
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

// Verify reads the artifacts of a committed run, compares them with its manifest, and
// returns the differences. An error means that they cannot be compared: the manifest is
// missing ([ErrNoManifest] for a run that another tool committed) or damaged. It takes no lock.
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
	if errors.Is(err, fs.ErrNotExist) && m.Artifacts == nil {
		err = ErrNoManifest
	}
	if err != nil {
		return nil, err
	}
	defer list.Close()
	want, err := tree.ReadManifest(list)
	if err == nil && m.Artifacts != nil && m.Artifacts.Digest != want.Digest() {
		err = fmt.Errorf("its manifest does not have the digest that meta.json records: %s", m.Artifacts.Digest)
	}
	if err != nil {
		return nil, err
	}
	if _, err := os.Lstat(r.Artifacts()); errors.Is(err, fs.ErrNotExist) {
		return want.Compare(new(tree.Tree)), nil
	}
	defer progress.Begin("verifying", "file").End()
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

// ownIDsDir has an empty file for each run whose id is the caller's own. Prepare writes it:
// discard has to work on a full disk.
const ownIDsDir = private + "/own-ids"

// remembered is how long such an id is known after its run has gone: a script that was
// interrupted is started again by then.
const remembered = 24 * time.Hour

// Gone tells whether id is that of a run that existed, or may have, so that discarding it is
// no mistake. For an id of the form that prepare makes it is true. The callers' own are
// remembered for a day after their run was discarded; prune then forgets them.
func (ws *Workspace) Gone(id string) bool {
	if name.IsID(id) {
		return true
	}
	if name.Check("run", id) != nil {
		return false
	}
	_, err := os.Lstat(ws.path(ownIDsDir, id))
	return err == nil
}

// noteOwnID notes an id for Gone.
func (ws *Workspace) noteOwnID(id string) error {
	if name.IsID(id) {
		return nil
	}
	if err := ws.ensure(ownIDsDir); err != nil {
		return err
	}
	return os.WriteFile(ws.path(ownIDsDir, id), nil, 0o666)
}

// forgetOwnIDs removes the notes of noteOwnID that are no longer needed.
func (ws *Workspace) forgetOwnIDs() {
	notes, _ := os.ReadDir(ws.path(ownIDsDir))
	for _, n := range notes {
		if info, err := n.Info(); err != nil || time.Since(info.ModTime()) < remembered {
			continue
		}
		if _, err := ws.Run(n.Name()); errors.Is(err, ErrNoRun) {
			os.Remove(ws.path(ownIDsDir, n.Name()))
		}
	}
}
