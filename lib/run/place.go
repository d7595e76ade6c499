// Package run is the half of the verbs that needs the workspace alone: it commits runs,
// compares them with what was committed, and gives them names. Its programs start
// fast: nothing in it speaks to containerd. Package reap, below it, does.
//
// A verb that fails leaves nothing half done. One that is killed leaves a workspace in
// which every verb still works, and leftovers that prune finds.
package run

import (
	"fmt"

	"pipex/lib/internal/endpoint"
	"pipex/lib/workspace"
)

// Place says where verbs work: in a workspace, and with a containerd. It is a value,
// and holds nothing open. Zero values are the defaults.
type Place struct {
	// Workdir is the directory of the workspaces, Workspace the name of one.
	Workdir, Workspace string
	endpoint.Containerd
	CNI endpoint.CNI
	// Warn is told, for people, of what went wrong without being a failure. It may
	// be nil.
	Warn func(error)
}

// The workspace where nobody names one.
const (
	DefaultWorkdir   = "./workdir"
	DefaultWorkspace = "default"
)

// WithDefaults is p with the defaults in place of zero values.
func (p Place) WithDefaults() Place {
	if p.Workdir == "" {
		p.Workdir = DefaultWorkdir
	}
	if p.Workspace == "" {
		p.Workspace = DefaultWorkspace
	}
	p.Containerd = p.Containerd.WithDefaults()
	return p
}

// Open opens the workspace; see [workspace.Open].
func (p Place) Open() (*workspace.Workspace, error) {
	p = p.WithDefaults()
	return workspace.Open(p.Workdir, p.Workspace)
}

// Warning passes an error that is no failure on to Warn; nil is ignored.
func (p Place) Warning(err error) {
	if p.Warn != nil && err != nil {
		p.Warn(err)
	}
}

// Hold takes the lock of an open run for a verb, and only then looks at it, so that
// nobody else changes what is seen. A run that another process holds is a
// [*workspace.BusyError]. A committed run needs no lock, and there is none to release.
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

// HoldOpen is Hold for a verb that a committed run refuses: the error wraps
// [workspace.ErrCommitted] and says what to do instead.
func HoldOpen(ws *workspace.Workspace, id, verb, instead string) (workspace.Run, *workspace.Lock, error) {
	r, lock, err := Hold(ws, id, verb)
	if err == nil && r.Committed {
		err = fmt.Errorf("run %q is %w; %s", id, workspace.ErrCommitted, instead)
	}
	return r, lock, err
}
