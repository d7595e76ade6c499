package main

import (
	"context"
	"errors"
	"fmt"

	"pipex/lib/cli"
	"pipex/lib/run"
	"pipex/lib/status"
	"pipex/lib/workspace"
)

// source is where the rows come from: one workspace, or all of a workdir.
type source struct {
	ws      *workspace.Workspace // nil for all
	place   run.Place
	readers map[string]*status.Reader
}

// rows are the steps and the open runs that there are at one time.
type rows struct {
	linked, open []*status.Row
	since        int // how many of open have been made good
}

// newSource returns the source that the options mean; ws is that of an operand, or nil.
func newSource(c *cli.Call, ws *workspace.Workspace) (*source, error) {
	s := &source{ws: ws, place: c.Place(), readers: map[string]*status.Reader{}}
	var err error
	if c.Bool("all") {
		var names []string
		if names, err = workspace.List(s.place.Workdir); err == nil && len(names) == 0 {
			err = fmt.Errorf("%w in %q; --workdir or PIPEX_WORKDIR names another directory", workspace.ErrNoWorkspace, s.place.Workdir)
		}
	} else if ws == nil {
		s.ws, err = s.place.Open()
	}
	return s, err
}

// read reads the rows. With an error it still returns all that it could read.
func (s *source) read(ctx context.Context) (all rows, err error) {
	if s.ws != nil {
		return s.readOne(ctx, s.ws)
	}
	names, err := workspace.List(s.place.Workdir)
	for _, name := range names {
		place := s.place
		place.Workspace = name
		ws, bad := place.Open()
		if bad == nil {
			var of rows
			of, bad = s.readOne(ctx, ws)
			for _, r := range append(of.linked, of.open...) {
				r.Workspace = name
			}
			all.linked, all.open = append(all.linked, of.linked...), append(all.open, of.open...)
			all.since += of.since
		}
		err = errors.Join(err, bad)
	}
	return all, err
}

func (s *source) readOne(ctx context.Context, ws *workspace.Workspace) (of rows, err error) {
	reader := s.readers[ws.ID]
	if reader == nil {
		reader = new(status.Reader)
		s.readers[ws.ID] = reader
	}
	of.linked, of.open, err = reader.Read(ctx, ws)
	of.linked = status.Order(of.linked)
	of.since = status.MarkSucceeded(of.linked, of.open)
	return of, err
}
