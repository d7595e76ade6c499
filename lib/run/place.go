// Package run implements the verbs that need only the workspace: commit, verify, link.
// It does not import containerd's client, so that programs that use it start fast.
// Package reap, below it, does.
//
// A verb that fails leaves nothing half done. After one is killed, every verb still
// works on the workspace, and prune removes what was left behind.
package run

import (
	"errors"
	"fmt"

	"pipex/lib/internal/endpoint"
	"pipex/lib/workspace"
)

// Place says on which workspace and which containerd a verb works. It is a value and
// holds nothing open. Zero values are the defaults.
type Place struct {
	// Workdir is the directory of the workspaces, Workspace the name of one.
	Workdir, Workspace string
	// Unnamed, if not nil, is the error of Open if Workspace is empty.
	Unnamed error
	endpoint.Containerd
	CNI endpoint.CNI
	// Warn is called with errors that do not make the verb fail, to be shown to people.
	// It may be nil.
	Warn func(error)
}

// The defaults of Place.Workdir and Place.Workspace.
const (
	DefaultWorkdir   = "./workdir"
	DefaultWorkspace = "default"
)

// WithDefaults returns p with defaults in place of zero values.
func (p Place) WithDefaults() Place {
	if p.Workdir == "" {
		p.Workdir = DefaultWorkdir
	}
	if p.Workspace == "" && p.Unnamed == nil {
		p.Workspace = DefaultWorkspace
	}
	p.Containerd = p.Containerd.WithDefaults()
	return p
}

// Open opens the workspace; see [workspace.Open].
func (p Place) Open() (*workspace.Workspace, error) {
	p = p.WithDefaults()
	if p.Workspace == "" {
		return nil, p.Unnamed
	}
	ws, err := workspace.Open(p.Workdir, p.Workspace)
	if errors.Is(err, workspace.ErrNoWorkspace) && p.Workdir == DefaultWorkdir {
		// The default is used if none was found above, either.
		if all, _ := workspace.List(p.Workdir); len(all) == 0 {
			return nil, fmt.Errorf("%w %q: no workdir here or above has one; pipex-prepare makes it, --workdir and --workspace name another", workspace.ErrNoWorkspace, p.Workspace)
		}
	}
	return ws, err
}

// Warning calls p.Warn with err, unless either is nil.
func (p Place) Warning(err error) {
	if p.Warn != nil && err != nil {
		p.Warn(err)
	}
}

// Hold takes the lock of an open run for a verb and then looks the run up, so that no
// other process changes it afterwards. If another process holds the run, the error is a
// [*workspace.BusyError]. For a committed run, which needs no lock, lock is nil.
func Hold(ws *workspace.Workspace, id, verb string) (r workspace.Run, lock *workspace.Lock, err error) {
	if r, err = ws.Run(id); err != nil || r.Committed {
		return r, nil, err
	}
	if lock, err = ws.HoldRun(id, verb); err != nil {
		return r, nil, err
	}
	if r, err = ws.Run(id); err != nil || r.Committed {
		lock.Release()
		return r, nil, err
	}
	return r, lock, nil
}

// HoldOpen is Hold for a verb that works on open runs only. For a committed run the error
// wraps [workspace.ErrCommitted] and ends with instead, which says what to do.
func HoldOpen(ws *workspace.Workspace, id, verb, instead string) (workspace.Run, *workspace.Lock, error) {
	r, lock, err := Hold(ws, id, verb)
	if err == nil && r.Committed {
		err = fmt.Errorf("run %q is %w; %s", id, workspace.ErrCommitted, instead)
	}
	return r, lock, err
}
