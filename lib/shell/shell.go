// Package shell executes a command in a view of a run: in a container that sees what the
// run saw and wrote. Nothing of the run changes, and nothing of the view is left.
package shell

import (
	"cmp"
	"context"
	"errors"

	"pipex/lib/exec"
	"pipex/lib/prepare"
	"pipex/lib/run"
	"pipex/lib/run/reap"
)

// Options say what to execute, and how. The zero value executes sh without input.
type Options struct {
	exec.Options
	// WriteCaches lets the command write to the caches that the run could write to.
	WriteCaches bool
	// Fetch is for an image that has to be fetched again; see [prepare.Options].
	Fetch prepare.Fetch
}

// Run executes opt.Cmd in a view of the run id and returns its exit status, as
// [exec.Exec] does. The run may be committed or open, executed or not.
//
// The command sees the run's image, variables, user, inputs, mounts and limits. Caches are
// read-only unless WriteCaches is set. The artifacts, the sources and, while the run is
// open, the container's file system are as the run has left them. What the command writes
// to any of these is in a copy that Run removes. Secrets that are not available are left
// out.
//
// If the run is open, Run takes its lock, shared: so no verb executes, commits or removes
// the run meanwhile. If this process is killed, prune removes what is left. Run waits for
// ctx and signals as [exec.Exec] does.
func Run(ctx context.Context, p run.Place, id string, opt Options) (int, error) {
	if len(opt.Cmd) == 0 {
		opt.Cmd = []string{"sh"}
	}
	waiting, done := exec.Interruptible(ctx, opt.Signals)
	d, err := prepare.Again(waiting, p, id, prepare.AgainOptions{WriteCaches: opt.WriteCaches, Fetch: opt.Fetch})
	interrupted := done()
	if err != nil {
		return 0, cmp.Or(interrupted, err)
	}
	defer d.Release()
	var status int
	if err = interrupted; err == nil {
		status, err = exec.Look(ctx, p, exec.View{Workspace: d.Workspace, Draft: d.Run, Of: d.Of, Artifacts: d.Artifacts, Snapshot: d.Snapshot}, opt.Options)
	}
	return status, errors.Join(err, reap.Held(context.WithoutCancel(ctx), p, d.Workspace, d.Run))
}
