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
	"time"

	"pipex/lib/name"
	"pipex/lib/tree"

	"golang.org/x/sys/unix"
)

// inUse is called, with locks of everything that is to be removed, before anything is, with
// the open runs that it belongs to. If it returns an error, nothing is removed.
type inUse func(ws *Workspace, open []Run) error

// Remove removes the workspace id below workdir with all its runs and caches. It leaves
// workdir by one rename, and its files are deleted afterwards: after a crash the next
// Remove, or Prune of a workspace beside it, deletes them. First it calls check, which may
// be nil, with the open runs: it may remove what they own elsewhere.
//
// The error wraps [ErrNoWorkspace] if the workspace does not exist, or the directory of that
// name has no room for runs: then it is not ours to delete. It is a [*BusyError] if
// a process holds the workspace or one of its open runs. A workspace that is a symbolic
// link is refused. Remove takes the workspace lock, exclusive, and the lock of each open run.
func Remove(ctx context.Context, workdir, id string, check inUse) error {
	if err := name.Check("workspace", id); err != nil {
		return err
	}
	sweepRemoved(workdir)
	ws, err := Open(workdir, id)
	if err != nil {
		return err
	}
	path := filepath.Join(workdir, id)
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == fs.ModeSymlink {
		return fmt.Errorf("cannot remove workspace %q: it is a symbolic link to %q; remove the link, or the workspace there", id, ws.Root)
	}
	if !Exists(workdir, id) {
		return fmt.Errorf("%w %q in %q: that directory has no runs, so it is something else", ErrNoWorkspace, id, workdir)
	}
	release, err := ws.claim(ctx, func(Run) bool { return true }, check)
	if err != nil {
		return err
	}
	defer release()
	trash := filepath.Join(workdir, removedPrefix+name.NewID())
	if err = os.Rename(path, trash); err == nil {
		err = removeTree(trash)
	}
	if err != nil {
		return fmt.Errorf("cannot remove workspace %q: %w", id, err)
	}
	return nil
}

// RemoveCache removes a cache. The error wraps [ErrNoCache] if it does not exist; it is a
// [*BusyError] if a process holds the cache, or an open run that uses it. First
// RemoveCache calls check, which may be nil, with the open runs that use the cache. It takes
// the workspace lock, exclusive, and the locks of the cache and of these runs.
func (ws *Workspace) RemoveCache(ctx context.Context, cache string, check inUse) error {
	path, err := ws.CachePath(cache)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		caches, _ := ws.Caches()
		return fmt.Errorf("%w %q in workspace %q%s", ErrNoCache, cache, ws.ID, name.DidYouMean(cache, caches))
	}
	held, err := ws.try(unix.F_WRLCK, offset("cache", cache))
	if isHeld(err) {
		err = &BusyError{What: fmt.Sprintf("cache %q", cache), By: ws.holder("cache", cache)}
	}
	if err != nil {
		return err
	}
	defer held.Release()
	release, err := ws.claim(ctx, func(r Run) bool { return uses(r, cache) }, check)
	if err != nil {
		return fmt.Errorf("cannot remove cache %q: %w", cache, err)
	}
	trash, err := ws.Scratch("cache-" + cache)
	if err == nil {
		err = os.Rename(path, trash)
	}
	release() // deleting may take long
	if err == nil {
		err = removeTree(trash)
	}
	if err != nil {
		return fmt.Errorf("cannot remove cache %q: %w", cache, err)
	}
	return nil
}

// uses reports whether a run has the cache mounted, also in its setup. A run whose record
// cannot be read may have.
func uses(r Run, cache string) bool {
	m, err := r.Meta()
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	used := slices.Clone(m.Caches)
	for _, c := range m.CacheMounts {
		used = append(used, c.Name)
	}
	if m.Setup != nil {
		for _, c := range m.Setup.CacheMounts {
			used = append(used, c.Name)
		}
	}
	return slices.Contains(used, cache)
}

// patience is how long a removal waits for verbs that hold the workspace lock, which they
// do for milliseconds.
const patience = 10 * time.Second

// claim takes the workspace lock, exclusive, and the lock of each draft and open run that
// matters, and calls check with these open runs. It returns a function that releases the locks.
func (ws *Workspace) claim(ctx context.Context, matters func(Run) bool, check inUse) (_ func(), err error) {
	var locks []*Lock
	free := func() {
		for _, l := range locks {
			l.Release()
		}
	}
	defer func() {
		if err != nil {
			free()
		}
	}()
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	all, err := ws.exclusive(waiting)
	if err != nil && waiting.Err() != nil && ctx.Err() == nil {
		err = &BusyError{What: fmt.Sprintf("workspace %q", ws.ID)}
	}
	if err != nil {
		return nil, err
	}
	locks = append(locks, all)
	open, err := ws.OpenRuns()
	if err != nil {
		return nil, err
	}
	drafts, err := ws.Drafts() // of a prepare or a shell, if somebody holds them
	if err != nil {
		return nil, err
	}
	others := func(r Run) bool { return !matters(r) }
	open, drafts = slices.DeleteFunc(open, others), slices.DeleteFunc(drafts, others)
	for _, r := range slices.Concat(drafts, open) {
		held, err := ws.HoldRun(r.ID, "rm")
		if err != nil {
			return nil, err
		}
		locks = append(locks, held)
	}
	if check != nil {
		err = check(ws, open)
	}
	return free, err
}

// removedPrefix begins the name, in workdir, of a workspace that is being removed. No
// workspace can have such a name.
const removedPrefix = ".removed-"

// sweepRemoved deletes what killed removals have left in workdir. Another process may be
// deleting the same.
func sweepRemoved(workdir string) {
	entries, _ := os.ReadDir(workdir)
	for _, e := range entries {
		if id, removed := strings.CutPrefix(e.Name(), removedPrefix); removed && name.IsID(id) && e.IsDir() {
			removeTree(filepath.Join(workdir, e.Name()))
		}
	}
}

// removeTree deletes a directory and all that is in it, also in directories that their
// owner cannot write to. It follows no symbolic link.
func removeTree(path string) error {
	err := tree.Remove(path)
	if errors.Is(err, fs.ErrPermission) {
		root, openErr := os.OpenRoot(path)
		if openErr != nil {
			return err
		}
		defer root.Close()
		fs.WalkDir(root.FS(), ".", func(dir string, d fs.DirEntry, _ error) error {
			if d != nil && d.IsDir() {
				root.Chmod(dir, 0o700)
			}
			return nil
		})
		err = os.RemoveAll(path)
	}
	return err
}
