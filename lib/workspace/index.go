package workspace

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"pipex/lib/internal/cores"
	"pipex/lib/name"
)

// indexDir is the index of committed runs, so that finding one takes as long among 100,000
// as among ten. It has an empty file in each place where a run is looked for:
//
//	id/1764/093/RUN          by the beginning of its id: a directory for each 1000 seconds
//	step/STEP/RUN            by its step
//	fingerprint/HEX/HEX.RUN  by its fingerprint, the beginnings of it, if lookups may return it
//
// Each directory takes a block of the disk and has to be made, so there are few.
//
// The runs are the truth, and the index only says where to look: an entry may outlive its
// run, so whoever finds an entry looks at the run. An entry stands there before its run does.
//
// The time of the file complete is that of runs/ (mtime) when each run had its entries. If
// runs/ has another time, then something was changed without the index: by another tool, by
// an earlier version of pipex, by hand, or by a verb that was killed. The next look then
// adds the missing entries, and leaves the file unswept: the next prune then removes
// entries without a run. A run that another tool commits within the same tick of the
// kernel's clock as we do is missing until runs/ changes again.
const indexDir = private + "/by"

// These are the parts of the index.
const (
	byID          = indexDir + "/id"
	byStep        = indexDir + "/step"
	byFingerprint = indexDir + "/fingerprint"
	completeFile  = indexDir + "/complete"
	unsweptFile   = indexDir + "/unswept"
)

// isFingerprint tells whether a fingerprint is safe as a directory's name. It comes from
// meta.json, which another tool may have written.
func isFingerprint(s string) bool {
	const inside = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	return s != "" && len(s) <= 128 && strings.Trim(s, inside) == ""
}

// keys are what the index finds a run by.
type keys struct{ id, step, fingerprint string }

// keys returns them; m is nil if the run's record cannot be read.
func (r Run) keys(m *Meta) keys {
	if m == nil {
		return keys{id: r.ID}
	}
	return keys{r.ID, m.StepID, m.offered()}
}

// entries returns the run's files in the index. That of its id is the last: if it exists, so
// do the others.
func (k keys) entries() (paths []string) {
	if name.Check("step", k.step) == nil {
		paths = append(paths, path.Join(byStep, k.step, k.id))
	}
	if isFingerprint(k.fingerprint) {
		dir, begin := fingerprintsFrom(k.fingerprint)
		paths = append(paths, path.Join(dir, begin+k.id))
	}
	return append(paths, idEntry(k.id))
}

// idOf returns the id of the run that a file in the index is of.
func idOf(entry string) string {
	entry = path.Base(entry)
	return entry[strings.LastIndexByte(entry, '.')+1:]
}

// fingerprintsFrom returns the directory of the index that has the entries of a fingerprint,
// and how their names begin.
func fingerprintsFrom(fingerprint string) (dir, begin string) {
	first := func(n int) string { return fingerprint[:min(n, len(fingerprint))] }
	return path.Join(byFingerprint, first(3)), first(64) + "."
}

// cuts are where an id is cut for its place in the index.
var cuts = []int{4, 7}

func idEntry(id string) string {
	dir, from := byID, 0
	for _, to := range cuts {
		part := id[min(from, len(id)):min(to, len(id))]
		dir, from = path.Join(dir, cmp.Or(part, "-")), to
	}
	return path.Join(dir, id)
}

// idsFrom returns the directory of the index that has the entries of all ids that begin with
// prefix, and how the names in it begin that lead to them.
func idsFrom(prefix string) (dir, begin string) {
	dir, from := byID, 0
	for _, to := range cuts {
		if len(prefix) < to {
			return dir, prefix[from:]
		}
		dir, from = path.Join(dir, prefix[from:to]), to
	}
	return dir, prefix
}

// enter adds a run to the index.
func (ws *Workspace) enter(k keys) error {
	for _, entry := range k.entries() {
		file := ws.path(entry)
		err := os.WriteFile(file, nil, 0o666)
		for try := 0; errors.Is(err, fs.ErrNotExist) && try < 8; try++ { // leave may remove an empty directory
			if err = os.MkdirAll(filepath.Dir(file), 0o777); err == nil {
				err = os.WriteFile(file, nil, 0o666)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// announce adds a run that is about to be renamed to runs/. The index is not complete from here
// on: if this process is killed before the rename, the next prune has to look for the entries.
func (ws *Workspace) announce(k keys) error {
	if err := ws.markComplete(time.Unix(0, 0)); err != nil {
		return err
	}
	return ws.enter(k)
}

// leave removes a run from the index.
func (ws *Workspace) leave(k keys) (err error) {
	for _, entry := range k.entries() {
		err = errors.Join(err, ws.removeEntry(entry))
	}
	return err
}

// removeEntry removes a file of the index, and the directories above it that are empty then.
func (ws *Workspace) removeEntry(entry string) error {
	err := os.Remove(ws.path(entry))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for dir := path.Dir(entry); path.Dir(dir) != indexDir && unix.Rmdir(ws.path(dir)) == nil; {
		dir = path.Dir(dir)
	}
	return nil
}

// complete reports whether each committed run has its entries, and returns the time of runs/.
func (ws *Workspace) complete() (at time.Time, is bool) {
	// Opened, so that NFS asks the server.
	dir, err := os.Open(ws.path(runsDir))
	if err != nil {
		return at, false
	}
	defer dir.Close()
	info, err := dir.Stat()
	if err != nil {
		return at, false
	}
	mark, err := os.Stat(ws.path(completeFile))
	return info.ModTime(), err == nil && mark.ModTime().Equal(info.ModTime())
}

// markComplete says that each run that was in runs/ at a time has its entries.
func (ws *Workspace) markComplete(at time.Time) error {
	err := os.Chtimes(ws.path(completeFile), at, at)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.WriteFile(ws.path(completeFile), nil, 0o666); err == nil {
			err = os.Chtimes(ws.path(completeFile), at, at)
		}
	}
	return err
}

// publish renames a run to runs/, and adds it to the index before. The caller holds the
// workspace lock, shared. It takes the index lock, but not for long: the next look adds what
// is not in the index.
func (ws *Workspace) publish(ctx context.Context, r Run, m *Meta) (Run, error) {
	waiting, cancel := context.WithTimeout(ctx, dying)
	defer cancel()
	lock, err := ws.wait(waiting, unix.F_WRLCK, indexByte)
	defer lock.Release()
	_, complete := ws.complete()
	complete = complete && err == nil && ws.announce(r.keys(m)) == nil
	done := ws.committed(r.ID)
	if err := renameNew(r.Dir, done.Dir); err != nil {
		return r, err
	}
	if complete {
		if now, _ := ws.complete(); !now.IsZero() {
			ws.markComplete(now)
		}
	}
	return done, nil
}

// worthIndexing is how many runs there must be before a look makes an index: those who look
// leave a small workspace as it is.
const worthIndexing = 16

var errSmall = errors.New("too few runs for an index")

// index makes the index complete. Without it, because the workspace is small or cannot be
// written to, a look reads the records of all runs. It takes the index lock.
func (ws *Workspace) index() error {
	if _, complete := ws.complete(); complete {
		return nil
	}
	if _, missing := os.Lstat(ws.path(indexDir)); missing != nil {
		if runs, err := ws.Runs(); err != nil || len(runs) < worthIndexing {
			return errors.Join(err, errSmall)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	lock, err := ws.wait(ctx, unix.F_WRLCK, indexByte)
	if err != nil {
		return err
	}
	defer lock.Release()
	at, complete := ws.complete()
	if complete {
		return nil
	}
	runs, err := ws.Runs()
	if err == nil {
		err = ws.ensure(indexDir)
	}
	if err == nil {
		err = os.WriteFile(ws.path(unsweptFile), nil, 0o666)
	}
	var group errgroup.Group
	group.SetLimit(cores.All())
	for _, r := range runs {
		group.Go(func() error {
			if _, err := os.Lstat(ws.path(idEntry(r.ID))); !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			m, err := r.Meta()
			if errors.Is(err, fs.ErrPermission) {
				return err // somebody else can read it
			}
			if exists, _ := isDir(r.Dir); !exists {
				return nil // prune has removed it
			}
			return ws.enter(r.keys(m))
		})
	}
	if err := errors.Join(err, group.Wait()); err != nil {
		return err
	}
	return ws.markComplete(at)
}

// pruning notes that a prune has begun, which removes runs and then their entries. It returns
// a function that the prune calls at its end, with an error if it has left entries. That makes
// the index complete again. It also looks for entries without a run, if the prune before did not
// come to its end, or something has changed without the index: somebody may have removed runs by
// hand, or a commit was killed before its rename.
func (ws *Workspace) pruning() (mend func(left error)) {
	_, complete := ws.complete()
	_, unfinished := os.Lstat(ws.path(unsweptFile))
	if os.WriteFile(ws.path(unsweptFile), nil, 0o666) != nil {
		return func(error) {} // there is no index
	}
	return func(left error) {
		if !complete || unfinished == nil {
			left = errors.Join(left, ws.sweepIndex())
		}
		if ws.index() == nil && left == nil {
			os.Remove(ws.path(unsweptFile))
		}
	}
}

// sweepIndex removes entries without a run.
func (ws *Workspace) sweepIndex() (err error) {
	for _, part := range []string{byID, byStep, byFingerprint} {
		ws.walkIndex(part, "", func(entry string, failed error) bool {
			if failed != nil {
				err = failed
			} else if _, gone := ws.Run(idOf(entry)); errors.Is(gone, ErrNoRun) {
				err = errors.Join(err, ws.removeEntry(entry))
			}
			return true
		})
	}
	return err
}

// walkIndex calls yield with each file of the index below a directory of it, the last by name
// first, directory by directory, until it returns false. The names in the directory itself
// begin with prefix.
func (ws *Workspace) walkIndex(dir, prefix string, yield func(entry string, err error) bool) bool {
	entries, err := os.ReadDir(ws.path(dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return yield("", fmt.Errorf("cannot list runs of workspace %q: %w", ws.ID, err))
	}
	for _, e := range slices.Backward(entries) {
		entry := path.Join(dir, e.Name())
		switch {
		case !strings.HasPrefix(e.Name(), prefix):
		case e.IsDir() && !ws.walkIndex(entry, "", yield):
			return false
		case !e.IsDir() && name.Check("run", idOf(entry)) == nil && !yield(entry, nil):
			return false
		}
	}
	return true
}

// committedWith returns the ids of committed runs: of those that have files in a directory of
// the index whose names begin with prefix. If there is no index, these are all runs. The last by
// name is the first, directory by directory. The caller looks at each run: it may be gone, or
// another one.
func (ws *Workspace) committedWith(dir, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if ws.index() == nil {
			ws.walkIndex(dir, prefix, func(entry string, err error) bool { return yield(idOf(entry), err) })
			return
		}
		runs, err := ws.Runs()
		if err != nil {
			yield("", err)
		}
		for _, r := range slices.Backward(runs) {
			if !yield(r.ID, nil) {
				return
			}
		}
	}
}
