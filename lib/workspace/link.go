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

// Link says which committed run a step points at.
type Link struct {
	// Step is the step's name.
	Step string `json:"step"`
	// RunID is the run.
	RunID string `json:"run"`
}

// Link points step at a committed run, in step-runs and in state.json. Linking to
// the run that is linked already does nothing. The link is never missing while it is
// replaced. A crash between the two writes leaves both the old and the new run
// referenced; linking again, or Prune, makes them agree.
//
// The error wraps [ErrNoRun] if the run does not exist, and [ErrNotCommitted] if it is
// open. Link takes the workspace lock, shared, and the state lock.
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
	lock, err := ws.wait(ctx, unix.F_WRLCK, stateByte)
	if err != nil {
		return err
	}
	defer lock.Release()
	if err := ws.point(step, stepState{RunID: id, Fingerprint: m.Fingerprint}); err != nil {
		return fmt.Errorf("cannot link step %q: %w", step, err)
	}
	return nil
}

// point makes the link of a step and its entry in state.json point to a run. The caller
// holds the state lock. After power loss the link decides, so only that is synced.
func (ws *Workspace) point(step string, to stepState) error {
	entry, err := ws.draftState(step, &to)
	defer entry.drop()
	if err != nil {
		return err
	}
	if now, err := ws.Linked(step); err == nil && now == to.RunID {
		return entry.publish()
	}
	if err := ws.ensure(linksDir); err != nil {
		return err
	}
	link, err := ws.draftLink(ws.path(linksDir, step), path.Join("..", runsDir, to.RunID))
	defer link.drop()
	if err == nil {
		err = entry.publish() // before the link: in this order they are written to the disk
	}
	if err == nil {
		err = link.publish()
	}
	if err == nil {
		err = syncPath(ws.path(linksDir))
	}
	return err
}

// Unlink removes the link of a step. It never removes the run. The error wraps
// [ErrNoStep] if the step has no link. The link itself is removed last: after a crash
// the step is still linked, and Unlink can be repeated. It takes the same locks as Link.
func (ws *Workspace) Unlink(ctx context.Context, step string) error {
	if _, err := ws.Linked(step); err != nil {
		return err
	}
	shared, err := ws.Shared(ctx)
	if err != nil {
		return err
	}
	defer shared.Release()
	lock, err := ws.wait(ctx, unix.F_WRLCK, stateByte)
	if err != nil {
		return err
	}
	defer lock.Release()
	entry, err := ws.draftState(step, nil)
	defer entry.drop()
	if err == nil {
		err = entry.publish()
	}
	if err == nil {
		if err = os.Remove(ws.path(linksDir, step)); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("cannot unlink step %q: %w", step, err)
	}
	return nil
}

// mendState makes state.json agree with the links again, after a crash between
// writing the two. It leaves steps without a link as they are: if step-runs is lost,
// only state.json still names their runs. The caller holds the workspace lock,
// exclusive, so that no Link is in progress.
func (ws *Workspace) mendState(ctx context.Context) error {
	links, err := ws.Links()
	if err != nil || len(links) == 0 {
		return err
	}
	lock, err := ws.wait(ctx, unix.F_WRLCK, stateByte)
	if err != nil {
		return err
	}
	defer lock.Release()
	s, err := ws.readState()
	if err != nil {
		return err
	}
	changed := s.rest == nil
	for _, l := range links {
		if s.steps[l.Step].RunID == l.RunID {
			continue
		}
		if m, err := ws.committed(l.RunID).Meta(); err == nil {
			s.steps[l.Step] = stepState{RunID: l.RunID, Fingerprint: m.Fingerprint}
			changed = true
		}
	}
	if !changed {
		return nil
	}
	return ws.writeState(s)
}

// Linked returns the id of the run that step points at. The error wraps [ErrNoStep] if
// the step has no link. It takes no lock: a caller that needs the run to stay takes the
// workspace lock, shared, first.
func (ws *Workspace) Linked(step string) (string, error) {
	if err := name.Check("step", step); err != nil {
		return "", err
	}
	// NFS may remember a missing name for seconds; opening the directory makes it
	// ask the server.
	dir, err := os.OpenRoot(ws.path(linksDir))
	if errors.Is(err, fs.ErrNotExist) {
		return "", &noStepError{ws, step}
	}
	if err != nil {
		return "", err
	}
	defer dir.Close()
	target, err := dir.Readlink(step)
	if errors.Is(err, fs.ErrNotExist) {
		return "", &noStepError{ws, step}
	}
	if err != nil {
		return "", fmt.Errorf("cannot read the link of step %q: %w", step, err)
	}
	id := filepath.Base(target)
	if name.Check("run", id) != nil || filepath.Clean(target) != path.Join("..", runsDir, id) {
		return "", fmt.Errorf("the link of step %q points to %q, not to a run; pipex-link %s RUN repairs it", step, target, step)
	}
	return id, nil
}

// noStepError says that a step is not linked, and which one was meant. It looks for that
// only if it is printed: many callers go on without a link.
type noStepError struct {
	ws   *Workspace
	step string
}

func (e *noStepError) Error() string {
	return fmt.Sprintf("%v %q in workspace %q%s", ErrNoStep, e.step, e.ws.ID, name.DidYouMean(e.step, e.ws.Steps()))
}

// Unwrap returns ErrNoStep.
func (e *noStepError) Unwrap() error { return ErrNoStep }

// Steps returns the names of the steps that are linked, sorted; none if they cannot be listed. It
// does not look where the links point.
func (ws *Workspace) Steps() (names []string) {
	entries, _ := os.ReadDir(ws.path(linksDir))
	for _, e := range entries {
		if name.Check("step", e.Name()) == nil {
			names = append(names, e.Name())
		}
	}
	return names
}

// Links returns the links of all steps, sorted by step. If some links do not point to a
// run, it returns the others together with an error that names the bad ones. It takes
// no lock.
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
