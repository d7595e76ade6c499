// Package pipex runs the steps of a pipeline in containers. It offers to Go programs
// what the six commands offer to scripts: prepare, execute, commit, link, discard and
// prune runs. The containers run in containerd.
//
//	ws, err := pipex.Create("workdir", "default")
//	run, err := ws.Prepare(ctx, pipex.Prepare{Spec: pipex.Spec{Step: "count", Image: "busybox", ...}})
//	status, err := ws.Exec(ctx, run.RunID, pipex.Exec{Stdout: os.Stdout})
//	_, err = ws.Commit(ctx, run.RunID, pipex.Commit{})
//	err = ws.Link(ctx, "count", run.RunID)
//
// The zero value of every option is its default. A cancelled context ends a wait, and a
// call that has not changed the workspace yet; each call's own documentation says what
// happens later. Any number of processes and goroutines may use one workspace at once.
// The package writes nothing to the process's standard streams or loggers, and reads
// nothing from its environment.
//
// Use [errors.Is] and [errors.As] to find the kind of an error: one of the Err variables
// below, [*BusyError], [*UsageError] or [*NameError].
package pipex

import (
	"context"

	"pipex/lib/exec"
	"pipex/lib/internal/endpoint"
	"pipex/lib/name"
	"pipex/lib/prepare"
	"pipex/lib/pull"
	"pipex/lib/run"
	"pipex/lib/run/reap"
	"pipex/lib/shell"
	"pipex/lib/step"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

// The types that the calls take and return.
type (
	Spec     = step.Spec
	Options  = step.Options
	Limits   = step.Limits
	Input    = step.Input
	Mount    = step.Mount
	Cache    = step.Cache
	Prepare  = prepare.Options
	Prepared = prepare.Prepared
	Exec     = exec.Options
	Shell    = shell.Options
	Commit   = run.CommitOptions
	Prune    = reap.PruneOptions
	Kept     = reap.Kept
	Meta     = workspace.Meta
	Run      = workspace.Run
	Link     = workspace.Link

	Pull       = pull.Options
	Containerd = endpoint.Containerd
	CNI        = endpoint.CNI
	BusyError  = workspace.BusyError
	UsageError = name.UsageError
	NameError  = name.Error
)

// Now, as [Prune].OlderThan, keeps no run because of its age.
const Now = reap.Now

// Errors to compare with [errors.Is].
var (
	ErrNoWorkspace   = workspace.ErrNoWorkspace
	ErrNoRun         = workspace.ErrNoRun
	ErrNoStep        = workspace.ErrNoStep
	ErrAmbiguous     = workspace.ErrAmbiguous
	ErrNoCache       = workspace.ErrNoCache
	ErrNoImage       = prepare.ErrNoImage
	ErrExists        = workspace.ErrExists
	ErrCommitted     = workspace.ErrCommitted
	ErrNotCommitted  = workspace.ErrNotCommitted
	ErrDamaged       = workspace.ErrDamaged
	ErrNotSuccessful = workspace.ErrNotSuccessful
	ErrRunning       = workspace.ErrRunning
)

// Workspace is a workspace and the containerd that its runs use. It keeps no files or
// connections open and need not be closed. The embedded [workspace.Workspace] finds
// runs, links and caches.
type Workspace struct {
	*workspace.Workspace
	Containerd Containerd
	CNI        CNI
	// Pull says how an image that is missing is pulled.
	Pull Pull
	// Warn is called with errors that do not make a call fail; it may be nil.
	Warn func(error)

	workdir string
}

// Create opens a workspace, and creates it first if it does not exist.
func Create(workdir, id string) (*Workspace, error) {
	ws, err := workspace.Create(workdir, id)
	if err != nil {
		return nil, err
	}
	return &Workspace{Workspace: ws, workdir: workdir}, nil
}

// Open opens an existing workspace. The error wraps [ErrNoWorkspace] if it does not exist.
func Open(workdir, id string) (*Workspace, error) {
	ws, err := workspace.Open(workdir, id)
	if err != nil {
		return nil, err
	}
	return &Workspace{Workspace: ws, workdir: workdir}, nil
}

func (w *Workspace) place() run.Place {
	return run.Place{Workdir: w.workdir, Workspace: w.ID, Containerd: w.Containerd, CNI: w.CNI, Warn: w.Warn}
}

// Prepare creates an open run of a step; see [prepare.Prepare].
func (w *Workspace) Prepare(ctx context.Context, opt Prepare) (*Prepared, error) {
	if opt.Fetch == nil {
		opt.Fetch = w.Pull.Fetch
	}
	return prepare.Prepare(ctx, w.place(), opt)
}

// Exec runs the command of an open run and returns its status; see [exec.Exec].
func (w *Workspace) Exec(ctx context.Context, id string, opt Exec) (int, error) {
	return exec.Exec(ctx, w.place(), id, opt)
}

// Shell executes a command in a view of a run and returns its status; see [shell.Run].
func (w *Workspace) Shell(ctx context.Context, id string, opt Shell) (int, error) {
	if opt.Fetch == nil {
		opt.Fetch = w.Pull.Fetch
	}
	return shell.Run(ctx, w.place(), id, opt)
}

// Commit publishes an open run; see [run.Commit]. It then removes the run's objects from
// containerd. If that fails, it calls Warn; Prune removes them later.
func (w *Workspace) Commit(ctx context.Context, id string, opt Commit) (*Meta, error) {
	m, left, err := run.Commit(ctx, w.place(), id, opt)
	if err == nil && left {
		w.place().Warning(reap.WorkOn(ctx, w.place(), id))
	}
	return m, err
}

// Verify compares a committed run with its manifest; see [run.Verify].
func (w *Workspace) Verify(ctx context.Context, id string) ([]tree.Difference, error) {
	return run.Verify(ctx, w.place(), id)
}

// Discard removes an open run; see [reap.Discard].
func (w *Workspace) Discard(ctx context.Context, id string) error {
	return reap.Discard(ctx, w.place(), id)
}

// Prune removes what nothing refers to. It returns the ids of the removed runs, also
// when it returns an error; see [reap.Prune].
func (w *Workspace) Prune(ctx context.Context, opt Prune) (gone []string, kept Kept, err error) {
	kept, err = reap.Prune(ctx, w.place(), opt, func(id string) { gone = append(gone, id) })
	return gone, kept, err
}

// Remove removes the workspace; see [reap.Remove].
func (w *Workspace) Remove(ctx context.Context) error { return reap.Remove(ctx, w.place()) }

// RemoveCache removes a cache; see [reap.RemoveCache].
func (w *Workspace) RemoveCache(ctx context.Context, cache string) error {
	return reap.RemoveCache(ctx, w.place(), cache)
}
