// Package verb is the Go interface of the verbs prepare, exec, commit, discard
// and prune: each one moves both halves of a run, its directory in the
// workspace and its objects in containerd, together. pipex-link moves one half
// only and is [workspace.Workspace.Link].
//
// A verb that fails leaves nothing half done. One that is killed leaves a
// workspace in which every verb still works, and leftovers that Prune finds.
package verb

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"pipex/lib/container"
	"pipex/lib/workspace"
)

// Place says where verbs work: a workspace and a containerd. It is a value,
// and holds nothing open.
type Place struct {
	Workdir   string
	Workspace string
	// Address is the socket of containerd, Namespace what is ours in it.
	Address   string
	Namespace string
	// Warn is told, for a person, what went wrong without being a failure. It
	// may be nil.
	Warn func(error)
}

func (p Place) warn(err error) {
	if p.Warn != nil && err != nil {
		p.Warn(err)
	}
}

func (p Place) open() (*workspace.Workspace, error) { return workspace.Open(p.Workdir, p.Workspace) }

func (p Place) connect(ctx context.Context) (*container.Client, error) {
	return container.Connect(ctx, p.Address, p.Namespace)
}

func owner(ws *workspace.Workspace, run, step string) container.Owner {
	return container.Owner{Workspace: ws.ID, Workdir: ws.Root, Run: run, Step: step, Version: workspace.Version}
}

// Prune takes the lock of a run for a moment, to see whether it is anybody's. A
// verb that meets it there tries again that often, holdPause apart.
const (
	holdTries = 20
	holdPause = 10 * time.Millisecond
)

// hold takes the lock of an open run and only then looks at it, so that what is
// seen cannot change but by the caller.
func hold(ws *workspace.Workspace, id, verb string) (run workspace.Run, lock *workspace.Lock, err error) {
	if run, err = ws.Run(id); err != nil || run.Committed {
		return run, nil, err
	}
	for try := 1; ; try++ {
		var busy *workspace.BusyError
		lock, err = ws.HoldRun(id, verb)
		if !errors.As(err, &busy) || verb == "prune" || try == holdTries {
			break
		}
		time.Sleep(holdPause)
	}
	if err != nil {
		return run, nil, err
	}
	if run, err = ws.Run(id); err != nil || run.Committed {
		lock.Release()
		return run, nil, err
	}
	return run, lock, nil
}

func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}

// reason is what went wrong with a path, without the path: the caller names it.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
