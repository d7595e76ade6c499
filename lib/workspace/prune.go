package workspace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// PruneOptions tell Prune what to keep.
type PruneOptions struct {
	// Keep names runs to keep besides the active ones; they need not exist.
	Keep []string
	// KeepLast keeps that many of the latest runs of each step.
	KeepLast int
	// OlderThan keeps the runs that finished less than this long ago.
	OlderThan time.Duration
	// DryRun removes nothing and reports what would be removed.
	DryRun bool
}

// Prune removes the committed runs that nothing refers to and calls report
// with the id of each one that is gone. Active, and never removed, are the
// runs that a link or state.json names, those in opt.Keep, the inputs of every
// open run, and a run that a process holds.
//
// It marks under the workspace lock, taken alone; each run leaves runs/ in one
// rename, and is deleted after the lock is released, on all cores. What an
// earlier crash left in .pipex is removed too, and a state.json that a crash
// left behind the links is brought up to them.
func (ws *Workspace) Prune(ctx context.Context, opt PruneOptions, report func(id string)) error {
	trash, err := ws.mark(ctx, opt, report)
	removeAll(trash)
	if err != nil {
		return fmt.Errorf("cannot prune workspace %q: %w", ws.ID, err)
	}
	if !opt.DryRun {
		ws.sweep()
	}
	return nil
}

// mark moves what nothing refers to out of runs/ and returns where it is now.
func (ws *Workspace) mark(ctx context.Context, opt PruneOptions, report func(string)) (trash []string, err error) {
	lock, err := ws.exclusive(ctx)
	if err != nil {
		return nil, err
	}
	defer lock.Release()
	active, err := ws.active(opt.Keep)
	if err != nil {
		return nil, err
	}
	runs, err := ws.Runs()
	if err != nil {
		return nil, err
	}
	for _, run := range ws.spare(runs, active, opt) {
		held, err := ws.HoldRun(run.ID, "prune")
		var busy *BusyError
		if errors.As(err, &busy) {
			continue
		}
		if err != nil {
			return trash, err
		}
		if !opt.DryRun {
			path, err := ws.toTrash(run)
			if err != nil {
				held.Release()
				return trash, err
			}
			trash = append(trash, path)
		}
		held.Release()
		report(run.ID)
	}
	if opt.DryRun {
		return nil, nil
	}
	return trash, ws.mendState(ctx)
}

// active is the set of runs that something refers to.
func (ws *Workspace) active(keep []string) (map[string]bool, error) {
	active := map[string]bool{}
	for _, id := range keep {
		if err := CheckName("run", id); err != nil {
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
	// Drafts first: one that moves on to staging meanwhile is seen there.
	drafts, err := ws.list(private+"/new", ws.draft)
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
			continue // nobody's: its record comes while the lock is shared
		}
		if err != nil {
			return nil, fmt.Errorf("the inputs of open run %q are unknown: %w", run.ID, err)
		}
		for _, in := range m.Inputs {
			active[in.RunID] = true
		}
	}
	return active, nil
}

// spare returns those runs that are neither active nor kept by opt.
func (ws *Workspace) spare(runs []Run, active map[string]bool, opt PruneOptions) []Run {
	type candidate struct {
		Run
		step     string
		finished time.Time
	}
	var all []candidate
	for _, run := range runs {
		c := candidate{Run: run}
		if m, err := run.Meta(); err == nil {
			c.step = m.StepID
			if m.FinishedAt != nil {
				c.finished = m.FinishedAt.Time
			} else {
				c.finished = m.PreparedAt.Time
			}
		}
		all = append(all, c)
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].finished.After(all[j].finished) })
	var spare []Run
	kept := map[string]int{}
	for _, c := range all {
		kept[c.step]++
		switch {
		case active[c.ID], ws.Claimed(c.ID), kept[c.step] <= opt.KeepLast, time.Since(c.finished) < opt.OlderThan:
		default:
			spare = append(spare, c.Run)
		}
	}
	sort.Slice(spare, func(i, j int) bool { return spare[i].ID < spare[j].ID })
	return spare
}

// sweep removes what a crash left in .pipex: everything there is named for the
// run whose lock protects it, and a lock that can be had is nobody's.
func (ws *Workspace) sweep() {
	for _, dir := range []string{"tmp", "new", "holders", "claims"} {
		entries, _ := os.ReadDir(ws.path(private, dir))
		for _, e := range entries {
			ws.sweepEntry(dir, e.Name())
		}
	}
}

func (ws *Workspace) sweepEntry(dir, entry string) {
	owner := entry
	if i := strings.LastIndexByte(entry, '.'); i >= 0 {
		owner = entry[:i]
	}
	if dir == "claims" && ws.Claimed(owner) {
		if _, err := ws.Run(owner); err == nil {
			return
		}
	}
	var lock *Lock
	var err error
	switch cache, isCache := strings.CutPrefix(owner, "cache-"); {
	case owner == linking:
		lock, err = ws.tryExclusive()
	case dir == "holders" && isCache:
		lock, err = ws.try(unix.F_WRLCK, offset("cache", cache))
	default:
		lock, err = ws.try(unix.F_WRLCK, offset("run", strings.TrimPrefix(owner, "run-")))
	}
	if err != nil {
		return
	}
	defer lock.Release()
	os.RemoveAll(ws.path(private, dir, entry))
}

// removeAll deletes trees on all cores. It is out of sight already: what fails
// is left for the next sweep.
func removeAll(paths []string) {
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, path := range paths {
		g.Go(func() error { os.RemoveAll(path); return nil })
	}
	g.Wait()
}
