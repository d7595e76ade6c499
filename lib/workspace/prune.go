package workspace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"pipex/lib/internal/cores"
	"pipex/lib/name"
	"pipex/lib/progress"
	"pipex/lib/tree"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// PruneOptions say which runs Prune keeps. The zero value keeps only the active ones.
type PruneOptions struct {
	// Keep names runs to keep besides the active ones; they need not exist.
	Keep []string
	// KeepLast is how many of the latest runs of each step to keep.
	KeepLast int
	// OlderThan keeps runs that are younger; see [Run.Age].
	OlderThan time.Duration
	// DryRun removes nothing, takes no lock, writes nothing and reports what would be removed.
	DryRun bool
}

// Spared counts the runs that Prune keeps although nothing refers to them.
type Spared struct {
	// Young are those younger than OlderThan.
	Young int
	// Unreadable are those whose record cannot be read.
	Unreadable int
}

// Prune removes committed runs that nothing refers to and that are at least as old as
// opt.OlderThan. It calls report with the id of each removed run.
//
// Of a run whose record cannot be read it is not known when it ended and of which step it
// is. Prune keeps it, unless neither OlderThan nor KeepLast is given.
//
// It never removes active runs: those that a link or state.json names, those in
// opt.Keep, the inputs of open runs, and runs whose lock a process holds. A script that
// has committed a run and not linked it yet relies on the run's age.
//
// Prune decides under the workspace lock, exclusive; a dry run may be out of date at once. Each run leaves runs/ by one
// rename. Its files are deleted after the lock is released, many runs at a time. Prune also
// removes what crashes have left in .pipex, and makes state.json agree with the links
// if a crash left it out of date.
func (ws *Workspace) Prune(ctx context.Context, opt PruneOptions, report func(id string)) (kept Spared, err error) {
	mend := func(error) {}
	if !opt.DryRun {
		mend = ws.pruning()
	}
	trash, kept, err := ws.mark(ctx, opt, report)
	left := ws.removeAll(trash)
	if err != nil {
		return kept, fmt.Errorf("cannot prune workspace %q: %w", ws.ID, err)
	}
	if !opt.DryRun {
		ws.sweep()
	}
	mend(left)
	return kept, nil
}

// mark moves the runs to be removed out of runs/ and returns their new paths.
func (ws *Workspace) mark(ctx context.Context, opt PruneOptions, report func(string)) (trash []candidate, kept Spared, err error) {
	if !opt.DryRun {
		lock, err := ws.exclusive(ctx)
		if err != nil {
			return nil, kept, err
		}
		defer lock.Release()
	}
	active, err := ws.active(opt.Keep)
	if err != nil {
		return nil, kept, err
	}
	runs, err := ws.Runs()
	if err != nil {
		return nil, kept, err
	}
	spare, kept := ws.spare(runs, active, opt)
	for _, c := range spare {
		if opt.DryRun {
			err = ws.Held(c.ID)
		} else if c.Dir, err = ws.retire(c); err == nil {
			trash = append(trash, c)
		}
		var busy *BusyError
		switch {
		case err == nil:
			report(c.ID)
		case !errors.As(err, &busy):
			return trash, kept, err
		}
	}
	if opt.DryRun {
		return nil, kept, nil
	}
	return trash, kept, ws.mendState(ctx)
}

// Superseded reports whether an open run has failed and its step has succeeded since: the
// run that the step is linked to is successful, and was committed, or found by its
// fingerprint, after the last exec of the open run. It takes no lock.
func (ws *Workspace) Superseded(open Run) bool {
	m, err := open.Meta()
	if err != nil || m.Status != Failure {
		return false
	}
	id, err := ws.Linked(m.StepID)
	if err != nil {
		return false
	}
	linked := ws.committed(id)
	m, err = linked.Meta()
	return err == nil && m.Status == Success && linked.Age() < open.Age()
}

// retire moves a committed run out of runs/ and returns its new path.
func (ws *Workspace) retire(c candidate) (trash string, err error) {
	// Without a note of who holds it: that would take as long as deleting some files.
	held, err := ws.try(unix.F_WRLCK, offset("run", c.ID))
	if isHeld(err) {
		err = &BusyError{What: fmt.Sprintf("run %q", c.ID)}
	}
	if err != nil {
		return "", err
	}
	defer held.Release()
	return ws.toTrash(c.Run)
}

// active returns the ids of the runs that something refers to. The caller holds the
// workspace lock, exclusive, if it removes the others.
func (ws *Workspace) active(keep []string) (map[string]bool, error) {
	active := map[string]bool{}
	for _, id := range keep {
		if err := name.Check("run", id); err != nil {
			return nil, err
		}
		active[id] = true
	}
	links, err := ws.Links()
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		active[l.RunID] = true
	}
	s, err := ws.readState()
	if err != nil {
		return nil, err
	}
	for _, entry := range s.steps {
		active[entry.RunID] = true
	}
	// Read drafts first: a draft that is renamed to staging in between is seen there.
	drafts, err := ws.Drafts()
	if err != nil {
		return nil, err
	}
	open, err := ws.OpenRuns()
	if err != nil {
		return nil, err
	}
	for _, run := range append(drafts, open...) {
		m, err := run.Meta()
		if exists, _ := isDir(run.Dir); !exists {
			continue
		}
		if err != nil && run.Dir == ws.draft(run.ID).Dir {
			// A crash left it: a live prepare writes the record under the shared
			// workspace lock.
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("the inputs of open run %q are unknown, and another tool may be executing it: %w", run.ID, err)
		}
		for _, in := range m.Inputs {
			active[in.RunID] = true
		}
	}
	return active, nil
}

// candidate is a committed run and what prune needs of its record; zero values if the
// record cannot be read.
type candidate struct {
	Run
	keys
	finished   time.Time
	unreadable bool
}

// read reads what prune needs of a run.
func read(run Run) candidate {
	m, err := run.Meta()
	if err != nil {
		return candidate{Run: run, keys: run.keys(nil), unreadable: true}
	}
	c := candidate{Run: run, keys: run.keys(m), finished: m.PreparedAt.Time}
	if m.FinishedAt != nil {
		c.finished = m.FinishedAt.Time
	}
	return c
}

// spare returns the runs that are neither active nor kept by opt, sorted by id, and counts
// those kept only because of their age or record.
func (ws *Workspace) spare(runs []Run, active map[string]bool, opt PruneOptions) (spare []candidate, kept Spared) {
	all := make([]candidate, len(runs))
	var g errgroup.Group
	workers := cores.All()
	for first := range workers {
		g.Go(func() error {
			for i := first; i < len(runs); i += workers {
				all[i] = read(runs[i])
			}
			return nil
		})
	}
	g.Wait()
	sort.SliceStable(all, func(i, j int) bool { return all[i].finished.After(all[j].finished) })
	latest := map[string]int{}
	for _, c := range all {
		latest[c.step]++
		switch {
		case active[c.ID]:
		case c.unreadable && (opt.OlderThan > 0 || opt.KeepLast > 0):
			kept.Unreadable++
		case latest[c.step] <= opt.KeepLast:
		case c.Age() < opt.OlderThan:
			kept.Young++
		default:
			spare = append(spare, c)
		}
	}
	sort.Slice(spare, func(i, j int) bool { return spare[i].ID < spare[j].ID })
	return spare, kept
}

// sweep removes what crashes have left in .pipex, and of workspaces beside this one. Each
// entry's name begins with the run or the lock that protects it. If nobody holds that lock,
// the entry is left over.
func (ws *Workspace) sweep() {
	sweepRemoved(filepath.Dir(ws.Root))
	for _, dir := range []string{"tmp", "new", "holders"} {
		entries, _ := os.ReadDir(ws.path(private, dir))
		for _, e := range entries {
			ws.sweepEntry(dir, e.Name())
		}
	}
	ws.forgetOwnIDs()
	glances, _ := os.ReadDir(ws.path(artifactsDir))
	for _, e := range glances { // of a run that was removed by hand
		if _, err := ws.Run(e.Name()); errors.Is(err, ErrNoRun) {
			os.Remove(ws.path(artifactsDir, e.Name()))
		}
	}
	for _, former := range []string{"claims", "index", "steps", "fingerprints"} { // of pipex up to 0.1
		os.RemoveAll(ws.path(private, former))
	}
}

func (ws *Workspace) sweepEntry(dir, entry string) {
	kind, owner := "run", entry
	if i := strings.LastIndexByte(entry, '.'); i >= 0 {
		owner = entry[:i]
	}
	if dir == "holders" {
		kind, owner, _ = strings.Cut(entry, "-")
	}
	var lock *Lock
	var err error
	if owner == linking {
		lock, err = ws.tryExclusive()
	} else {
		lock, err = ws.try(unix.F_WRLCK, offset(kind, owner))
	}
	if err != nil {
		return
	}
	defer lock.Release()
	os.RemoveAll(ws.path(private, dir, entry))
}

// removeAll deletes runs that are in .pipex/tmp, and their entries in the index, on all cores
// and more at a time than there are cores: deleting waits for the disk, where the file system
// tells it at once which blocks are free (the option discard, ext4(5)).
// If it cannot delete the files of a run, the next sweep tries again. An error means that entries
// are left.
func (ws *Workspace) removeAll(trash []candidate) error {
	work := progress.Begin("removing", "run")
	defer work.End()
	work.Of(int64(len(trash)), 0)
	var g errgroup.Group
	g.SetLimit(4 * cores.All())
	for _, c := range trash {
		g.Go(func() error {
			tree.Remove(c.Dir)
			progress.Add("run", 1, 0)
			return ws.leave(c.keys)
		})
	}
	return g.Wait()
}
