// Package pipex runs the steps of a pipeline in containers, from Go: all that the six
// verbs do. A run is prepared, executed, committed and named; containerd does the rest.
//
//	ws, err := pipex.Create("workdir", "default")
//	run, err := ws.Prepare(ctx, pipex.Prepare{Spec: pipex.Spec{Step: "count", Image: "busybox", ...}})
//	status, err := ws.Exec(ctx, run.RunID, pipex.Exec{Stdout: os.Stdout})
//	_, err = ws.Commit(ctx, run.RunID, pipex.Commit{})
//	err = ws.Link(ctx, "count", run.RunID)
//
// Zero values are the defaults everywhere. Contexts end waiting, and whatever has not
// begun to change the workspace; what each call does once it has begun is said there.
// Any number of processes and goroutines may work in one workspace at once. Nothing is
// written to the process's own streams or loggers, and nothing is read from its
// environment.
//
// An error tells what it is with [errors.Is] and [errors.As]: [ErrNoRun] and the like,
// [*BusyError], [*UsageError].
package pipex

import (
	"context"

	"pipex/lib/exec"
	"pipex/lib/internal/endpoint"
	"pipex/lib/name"
	"pipex/lib/prepare"
	"pipex/lib/run"
	"pipex/lib/run/reap"
	"pipex/lib/step"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

// What the calls take and return.
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
	Commit   = run.CommitOptions
	Prune    = reap.PruneOptions
	Kept     = reap.Kept
	Meta     = workspace.Meta
	Run      = workspace.Run
	Link     = workspace.Link

	Containerd = endpoint.Containerd
	CNI        = endpoint.CNI
	BusyError  = workspace.BusyError
	UsageError = name.UsageError
	NameError  = name.Error
)

// Now, as [Prune].OlderThan, keeps nothing for its age.
const Now = reap.Now

// What an error may be.
var (
	ErrNoWorkspace   = workspace.ErrNoWorkspace
	ErrNoRun         = workspace.ErrNoRun
	ErrNoStep        = workspace.ErrNoStep
	ErrNoImage       = prepare.ErrNoImage
	ErrExists        = workspace.ErrExists
	ErrCommitted     = workspace.ErrCommitted
	ErrNotCommitted  = workspace.ErrNotCommitted
	ErrNotSuccessful = workspace.ErrNotSuccessful
)

// Workspace is a workspace and the containerd that its runs use. It holds nothing open.
// The embedded [workspace.Workspace] finds runs, links and caches.
type Workspace struct {
	*workspace.Workspace
	Containerd Containerd
	CNI        CNI
	// Warn is told of what went wrong without being a failure; it may be nil.
	Warn func(error)

	workdir string
}

// Create opens a workspace and makes it first if there is none.
func Create(workdir, id string) (*Workspace, error) {
	ws, err := workspace.Create(workdir, id)
	if err != nil {
		return nil, err
	}
	return &Workspace{Workspace: ws, workdir: workdir}, nil
}

// Open opens a workspace; the error wraps [ErrNoWorkspace] if there is none.
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

// Prepare makes an open run of a step; see [prepare.Prepare].
func (w *Workspace) Prepare(ctx context.Context, opt Prepare) (*Prepared, error) {
	return prepare.Prepare(ctx, w.place(), opt)
}

// Exec runs the command of an open run and returns its status; see [exec.Exec].
func (w *Workspace) Exec(ctx context.Context, id string, opt Exec) (int, error) {
	return exec.Exec(ctx, w.place(), id, opt)
}

// Commit publishes an open run; see [run.Commit]. What the run owns in containerd is
// removed before Commit returns. If that fails, Warn is told, and prune does it later.
func (w *Workspace) Commit(ctx context.Context, id string, opt Commit) (*Meta, error) {
	m, owns, err := run.Commit(ctx, w.place(), id, opt)
	if err == nil && owns {
		w.place().Warning(reap.Objects(ctx, w.place(), []string{id}))
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

// Prune removes what nothing refers to and returns the ids of the runs that are gone,
// also with an error; see [reap.Prune].
func (w *Workspace) Prune(ctx context.Context, opt Prune) (gone []string, kept Kept, err error) {
	kept, err = reap.Prune(ctx, w.place(), opt, func(id string) { gone = append(gone, id) })
	return gone, kept, err
}
