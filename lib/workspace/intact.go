package workspace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"pipex/lib/tree"
)

// artifactsDir holds for each committed run what lstat(2) said of its artifacts when they
// were last known to be as they were committed; see [tree.Glance]. If a file is missing,
// the artifacts are read once more.
const artifactsDir = private + "/artifacts"

// Glance returns the path of what is kept of a committed run outside its directory, and is removed with
// it. It need not exist.
func (ws *Workspace) Glance(r Run) string { return ws.path(artifactsDir, r.ID) }

// maxGlance is more than such a note takes.
const maxGlance = 1 << 10

// DamagedError says that the artifacts of a committed run are not as they were committed. It
// wraps [ErrDamaged].
type DamagedError struct {
	// RunID is the run, Path the first object that differs, Kind says how.
	RunID, Path string
	Kind        tree.Kind
}

// What says what differs.
func (e *DamagedError) What() string {
	return fmt.Sprintf("%q is not as it was committed (%s)", e.Path, e.Kind)
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("run %q is %v: %s; pipex-commit --verify %s lists all differences; run the step again to replace the run", e.RunID, ErrDamaged, e.What(), e.RunID)
}

// Unwrap returns ErrDamaged.
func (e *DamagedError) Unwrap() error { return ErrDamaged }

// Intact returns a [*DamagedError] if the content of a committed run's artifacts has been
// altered since commit. It takes one lstat(2) per file. Only if these say something else
// than last time, as in a workspace that was restored from a backup, are the artifacts read,
// and the answer is kept. What a run that another tool committed contained is not known; it
// is intact. m is the run's record.
func (ws *Workspace) Intact(ctx context.Context, r Run, m *Meta) error {
	if m.Artifacts == nil {
		return nil
	}
	err := ws.intact(ctx, r, m)
	var damaged *DamagedError
	if err != nil && !errors.As(err, &damaged) {
		return fmt.Errorf("cannot look at the artifacts of run %q: %w", r.ID, err)
	}
	return err
}

func (ws *Workspace) intact(ctx context.Context, r Run, m *Meta) error {
	now, err := tree.Glance(ctx, r.Artifacts())
	if _, gone := os.Lstat(r.Artifacts()); errors.Is(gone, fs.ErrNotExist) {
		return &DamagedError{r.ID, ".", tree.Missing}
	}
	if err != nil {
		return err
	}
	if was, err := readFile(ws.Glance(r), maxGlance); err == nil && string(was) == now {
		return nil
	}
	is, err := tree.Scan(ctx, r.Artifacts(), tree.RecordSpecial())
	if err != nil {
		return err
	}
	if err := r.Compare(m, is); err != nil {
		return err
	}
	ws.keepGlance(r, now) // if that fails, the artifacts are read again the next time
	return nil
}

// Compare returns a [*DamagedError] if is, the content of the run's artifacts or of a copy of
// them, is not what the run committed by its record m. If m does not say what that was, it
// returns nil.
func (r Run) Compare(m *Meta, is *tree.Tree) error {
	if m.Artifacts == nil || is.Digest() == m.Artifacts.Digest {
		return nil
	}
	if was := r.Tree(m.Artifacts.Digest); was != nil {
		for _, d := range was.Compare(is) {
			if d.Decides() {
				return &DamagedError{r.ID, d.Path, d.Kind}
			}
		}
	}
	return &DamagedError{r.ID, ".", tree.Content}
}

// keepGlance notes what lstat(2) said of artifacts that are as they were committed.
func (ws *Workspace) keepGlance(r Run, glance string) error {
	if err := ws.ensure(artifactsDir); err != nil {
		return err
	}
	tmp, err := ws.Scratch(r.ID)
	if err != nil {
		return err
	}
	defer os.Remove(tmp)
	if err := os.WriteFile(tmp, []byte(glance), 0o666); err != nil {
		return err
	}
	return os.Rename(tmp, ws.Glance(r))
}
