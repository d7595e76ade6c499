package images

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/endpoint"
	"pipex/lib/workspace"
)

// Use is a run that uses an image: it was prepared with it, or names it.
type Use struct {
	// Workdir is the absolute path of the run's workspace if it is in another workdir, else empty.
	Workdir   string
	Workspace string
	// Step is the run's step; empty if it belongs to none.
	Step, Run string
	// Open says that the run is open, Linked that its step is linked to it.
	Open, Linked bool

	ref, digest string
}

// Which says which runs [Uses] looks for.
type Which int

const (
	// Current runs are open, or a step is linked to them.
	Current Which = iota
	// All are also the other committed runs.
	All
)

// Uses returns the runs of all workspaces of a workdir that use an image, and the open runs of
// other workdirs, which it knows from their leases in containerd's namespace. A record that cannot be
// read is an error, since it could name any image; the other uses are returned all the same.
func Uses(ctx context.Context, workdir string, to endpoint.Containerd, which Which) ([]Use, error) {
	ids, err := workspace.List(workdir)
	if err != nil {
		return nil, err
	}
	var uses []Use
	for _, id := range ids {
		ws, opened := workspace.Open(workdir, id)
		if opened == nil {
			var of []Use
			of, opened = usesIn(ctx, ws, which)
			uses = append(uses, of...)
		}
		err = errors.Join(err, opened)
	}
	others, leased := leasedElsewhere(ctx, workdir, to)
	return append(uses, others...), errors.Join(err, leased)
}

func usesIn(ctx context.Context, ws *workspace.Workspace, which Which) ([]Use, error) {
	links, err := ws.Links()
	if err != nil {
		return nil, err
	}
	linked := map[string]bool{}
	for _, l := range links {
		linked[l.RunID] = true
	}
	runs, err := ws.OpenRuns()
	if err != nil {
		return nil, err
	}
	if which == All {
		committed, err := ws.Runs()
		if err != nil {
			return nil, err
		}
		runs = append(runs, committed...)
	} else {
		for id := range linked {
			if r, err := ws.Run(id); err == nil && r.Committed {
				runs = append(runs, r)
			}
		}
	}
	var mu sync.Mutex
	var uses []Use
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	var unreadable error
	for _, r := range runs {
		g.Go(func() error {
			m, err := r.Meta()
			if err != nil { // it may have been committed or removed meanwhile
				if r, err = ws.Run(r.ID); errors.Is(err, workspace.ErrNoRun) {
					return ctx.Err()
				} else if err == nil {
					m, err = r.Meta()
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				unreadable = errors.Join(unreadable, fmt.Errorf("cannot tell which image run %q of workspace %q uses: %w", r.ID, ws.ID, err))
			} else if m.Image != "" {
				uses = append(uses, Use{Workspace: ws.ID, Step: m.StepID, Run: r.ID, Open: !r.Committed, Linked: linked[r.ID], ref: m.Image, digest: m.ImageDigest})
			}
			return ctx.Err()
		})
	}
	err = g.Wait()
	return uses, errors.Join(err, unreadable)
}

// leasedElsewhere returns the open runs of other workdirs.
func leasedElsewhere(ctx context.Context, workdir string, to endpoint.Containerd) ([]Use, error) {
	own, err := filepath.Abs(workdir)
	if err != nil {
		return nil, err
	}
	if real, err := filepath.EvalSymlinks(own); err == nil { // as workspaces have it
		own = real
	}
	c, err := containerd.Connect(ctx, to)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var uses []Use
	leased, err := c.Leased(ctx)
	for _, l := range leased {
		if filepath.Dir(l.Owner.Workdir) == own {
			continue
		}
		for _, digest := range l.Content {
			uses = append(uses, Use{Workdir: filepath.Dir(l.Owner.Workdir), Workspace: l.Workspace, Step: l.Step, Run: l.Run, Open: true, digest: digest})
		}
	}
	return uses, err
}
