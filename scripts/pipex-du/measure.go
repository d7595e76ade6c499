package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pipex/lib/cli"
	"pipex/lib/images"
	"pipex/lib/name"
	"pipex/lib/progress"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

// part is some of what a workspace occupies, and of that what prune would free.
type part struct {
	count        int
	bytes, prune int64
}

func (p *part) add(bytes, prune int64) {
	p.count, p.bytes, p.prune = p.count+1, p.bytes+bytes, p.prune+prune
}

// stepPart is what the committed and open runs of a step occupy; newest is the newest one alone.
type stepPart struct {
	part
	name   string
	newest int64
	at     time.Time
}

// space is what a workspace occupies.
type space struct {
	workspace               string
	runs, open, caches, own part
	steps                   map[string]*stepPart
}

// measured is what was measured. named says that the workspaces are printed.
type measured struct {
	spaces []*space
	images *images.Space // nil if containerd does not answer
	named  bool
}

// workspaces returns those that are meant.
func workspaces(c *cli.Call) (all []*workspace.Workspace, err error) {
	place := c.Place()
	if !c.Bool("all") {
		if len(c.Args) > 0 {
			place.Workspace = c.Args[0]
		}
		ws, err := place.Open()
		return []*workspace.Workspace{ws}, err
	}
	if len(c.Args) > 0 || c.IsSet("workspace") {
		return nil, name.Usage("--all means every workspace; name none with it")
	}
	ids, err := workspace.List(place.Workdir)
	for _, id := range ids {
		ws, bad := workspace.Open(place.Workdir, id)
		if bad == nil {
			all = append(all, ws)
		} else if !errors.Is(bad, workspace.ErrNoWorkspace) { // removed meanwhile
			err = errors.Join(err, bad)
		}
	}
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%w in %q; --workdir or PIPEX_WORKDIR names another directory", workspace.ErrNoWorkspace, place.Workdir)
	}
	return all, err
}

// meter measures workspaces; bad is the first thing that could not be read.
type meter struct {
	tree.Usage
	ctx context.Context
	bad error
}

// measure measures workspaces. A file that several runs have by hard links counts once, for the oldest run of the first
// workspace: committed runs come before open runs, these before caches, and these before other files.
func measure(ctx context.Context, all []*workspace.Workspace, olderThan time.Duration, warn func(error)) (*measured, error) {
	defer progress.Begin("measuring", "file").End()
	m, by := &measured{}, meter{ctx: ctx}
	for _, ws := range all {
		leaves := map[string]bool{}
		_, err := ws.Prune(ctx, workspace.PruneOptions{OlderThan: olderThan, DryRun: true}, func(id string) { leaves[id] = true })
		if err != nil {
			warn(fmt.Errorf("pipex-prune would fail: %w", err))
			clear(leaves)
		}
		s, err := by.measure(ws, leaves)
		if err != nil {
			return nil, err
		}
		m.spaces = append(m.spaces, s)
	}
	warn(by.bad)
	return m, ctx.Err()
}

func (m *meter) note(err error) {
	if m.bad == nil {
		m.bad = err
	}
}

// measure measures a workspace, of which prune would remove some runs.
func (m *meter) measure(ws *workspace.Workspace, leaves map[string]bool) (*space, error) {
	s := &space{workspace: ws.ID, steps: map[string]*stepPart{}}
	open, err := ws.OpenRuns() // first, since runs move from there to the others
	if err != nil {
		return nil, err
	}
	committed, err := ws.Runs()
	if err != nil {
		return nil, err
	}
	caches, err := ws.Caches()
	if err != nil {
		return nil, err
	}
	for _, r := range slices.Concat(committed, open) {
		m.run(s, ws, r, leaves[r.ID])
	}
	for _, cache := range caches {
		bytes, err := m.Add(m.ctx, filepath.Join(ws.Root, "caches", cache))
		m.note(err)
		s.caches.add(bytes, 0)
	}
	// What has come meanwhile to where these are is none of the other files.
	rest, err := m.Rest(m.ctx, ws.Root, func(path string) bool {
		in, id, _ := strings.Cut(path, "/")
		kind := map[string]string{"runs": "run", "staging": "run", "caches": "cache"}[in]
		return id != "" && kind != "" && name.Check(kind, id) == nil
	})
	m.note(err)
	s.own.bytes += rest
	return s, nil
}

// run measures a run, unless it is gone.
func (m *meter) run(s *space, ws *workspace.Workspace, r workspace.Run, leaves bool) {
	var bytes, prune int64
	var err error
	if leaves {
		bytes, prune, err = m.Leaving(m.ctx, r.Dir)
		_, besides, _ := m.Leaving(m.ctx, ws.Glance(r))
		s.own.prune += besides
	} else {
		bytes, err = m.Add(m.ctx, r.Dir)
	}
	m.note(err)
	if _, err := os.Lstat(r.Dir); errors.Is(err, fs.ErrNotExist) && bytes == 0 {
		return
	}
	of := &s.open
	if r.Committed {
		of = &s.runs
	}
	of.add(bytes, prune)
	var step string
	var at time.Time
	if meta, err := r.Meta(); err == nil {
		step, at = meta.StepID, meta.PreparedAt.Time
	}
	p := s.steps[step]
	if p == nil {
		p = &stepPart{name: step}
		s.steps[step] = p
	}
	if p.count == 0 || at.After(p.at) {
		p.newest, p.at = bytes, at
	}
	p.add(bytes, prune)
}
