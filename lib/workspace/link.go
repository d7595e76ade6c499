package workspace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"

	"pipex/lib/name"

	"golang.org/x/sys/unix"
)

// Link is the name that a step gives to its latest committed run.
type Link struct {
	Step  string `json:"step"`
	RunID string `json:"run"`
}

// Link points step at a committed run, in step-runs and in state.json. The
// link is never missing while it is replaced; a crash between the two leaves
// both runs referenced, and linking again mends it, as Prune does.
//
// It takes the workspace lock, shared, and the state lock.
func (ws *Workspace) Link(ctx context.Context, step, id string) error {
	if err := name.Check("step", step); err != nil {
		return err
	}
	if err := name.Check("run", id); err != nil {
		return err
	}
	shared, err := ws.Shared(ctx)
	if err != nil {
		return err
	}
	defer shared.Release()
	run, err := ws.Run(id)
	if err != nil {
		return err
	}
	if !run.Committed {
		return fmt.Errorf("run %q is %w; pipex-commit does that", id, ErrNotCommitted)
	}
	m, err := run.Meta()
	if err != nil {
		return err
	}
	err = ws.changeState(ctx, func(s *state) (bool, error) {
		entry := stepState{RunID: id, Fingerprint: m.Fingerprint}
		if now, err := ws.Linked(step); err != nil || now != id {
			if err := ws.ensure(linksDir); err != nil {
				return false, err
			}
			if err := ws.replaceLink(ws.path(linksDir, step), path.Join("..", runsDir, id)); err != nil {
				return false, err
			}
		}
		changed := s.steps[step] != entry
		s.steps[step] = entry
		return changed, nil
	}, nil)
	if err != nil {
		return fmt.Errorf("cannot link step %q: %w", step, err)
	}
	return nil
}

// Unlink removes the name of a step and never the run. The error wraps
// [ErrNoStep] when no run bears the name. The link goes last, so that after a
// crash the step still has its name. It takes the same locks as Link.
func (ws *Workspace) Unlink(ctx context.Context, step string) error {
	if _, err := ws.Linked(step); err != nil {
		return err
	}
	shared, err := ws.Shared(ctx)
	if err != nil {
		return err
	}
	defer shared.Release()
	err = ws.changeState(ctx, func(s *state) (bool, error) {
		_, had := s.steps[step]
		delete(s.steps, step)
		return had, nil
	}, func() error {
		err := os.Remove(ws.path(linksDir, step))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot unlink step %q: %w", step, err)
	}
	return nil
}

// changeState runs change on state.json under the state lock, writes it back if
// change says so, or if there was none, and then runs after, which may be nil.
func (ws *Workspace) changeState(ctx context.Context, change func(*state) (bool, error), after func() error) error {
	lock, err := ws.wait(ctx, unix.F_WRLCK, stateByte)
	if err != nil {
		return err
	}
	defer lock.Release()
	s, err := ws.readState()
	if err != nil {
		return err
	}
	changed, err := change(s)
	if err == nil && (changed || s.rest == nil) {
		err = ws.writeState(s)
	}
	if err == nil && after != nil {
		err = after()
	}
	return err
}

// mendState makes state.json agree with the links again, after a crash between
// the two. Steps without a link stay as they are: should step-runs be lost,
// state.json is what still knows the runs. The caller holds the workspace lock,
// alone, so no link is under way.
func (ws *Workspace) mendState(ctx context.Context) error {
	links, err := ws.Links()
	if err != nil || len(links) == 0 {
		return err
	}
	return ws.changeState(ctx, func(s *state) (bool, error) {
		changed := false
		for _, l := range links {
			if s.steps[l.Step].RunID == l.RunID {
				continue
			}
			if m, err := ws.committed(l.RunID).Meta(); err == nil {
				s.steps[l.Step] = stepState{RunID: l.RunID, Fingerprint: m.Fingerprint}
				changed = true
			}
		}
		return changed, nil
	}, nil)
}

// Linked returns the id of the run that step points at. The error wraps
// [ErrNoStep] when there is none. It takes no lock; a reader that needs the
// run to stay takes the workspace lock first.
func (ws *Workspace) Linked(step string) (string, error) {
	if err := name.Check("step", step); err != nil {
		return "", err
	}
	// Opening the directory makes a network file system look again.
	dir, err := os.OpenRoot(ws.path(linksDir))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w %q in workspace %q", ErrNoStep, step, ws.ID)
	}
	if err != nil {
		return "", err
	}
	defer dir.Close()
	target, err := dir.Readlink(step)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w %q in workspace %q", ErrNoStep, step, ws.ID)
	}
	if err != nil {
		return "", fmt.Errorf("cannot read the link of step %q: %w", step, err)
	}
	id := filepath.Base(target)
	if name.Check("run", id) != nil || filepath.Clean(target) != path.Join("..", runsDir, id) {
		return "", fmt.Errorf("the link of step %q points to %q, not to a run; pipex-link %s RUN mends it", step, target, step)
	}
	return id, nil
}

// Links lists every step that has a name for a run, sorted by step. The error
// tells of links that point to no run; the others are listed all the same.
func (ws *Workspace) Links() ([]Link, error) {
	entries, err := os.ReadDir(ws.path(linksDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot list the steps of workspace %q: %w", ws.ID, err)
	}
	var links []Link
	var damaged []error
	for _, e := range entries {
		if e.Type()&fs.ModeSymlink == 0 || name.Check("step", e.Name()) != nil {
			continue
		}
		id, err := ws.Linked(e.Name())
		if errors.Is(err, ErrNoStep) {
			continue
		}
		if err != nil {
			damaged = append(damaged, err)
			continue
		}
		links = append(links, Link{e.Name(), id})
	}
	sort.Slice(links, func(i, j int) bool { return links[i].Step < links[j].Step })
	return links, errors.Join(damaged...)
}
