package main

import (
	"slices"

	"pipex/lib/workspace"
)

// allowed returns the run that the step is linked to, if that failed, as it may, and has
// the fingerprint of the run that is prepared: it is as up to date as one that prepare
// --cached finds, which is never a failed one.
func (s *step) allowed(run string) string {
	options := s.prepare
	if i := slices.Index(options, "--"); i >= 0 {
		options = options[:i]
	}
	if !s.allowFailure || !slices.Contains(options, "--cached") {
		return ""
	}
	ws, err := place().Open()
	if err != nil {
		return ""
	}
	linked, err := ws.Linked(s.name)
	if err != nil {
		return ""
	}
	is, was := recordOf(ws, run), recordOf(ws, linked)
	if is == nil || was == nil || was.Fingerprint != is.Fingerprint || was.Status != workspace.Failure || len(was.ChangedInputs) > 0 {
		return ""
	}
	return linked
}

// recordOf is that of a run; nil if it cannot be read.
func recordOf(ws *workspace.Workspace, id string) *workspace.Meta {
	r, err := ws.Run(id)
	if err != nil {
		return nil
	}
	m, err := r.Meta()
	if err != nil {
		return nil
	}
	return m
}
