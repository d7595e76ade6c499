package main

import (
	"context"
	"path/filepath"
	"time"

	"pipex/lib/images"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

// part is some of what a workspace occupies.
type part struct {
	count        int
	bytes, prune int64
}

func (p *part) add(bytes int64) { p.count, p.bytes = p.count+1, p.bytes+bytes }

// stepPart is what the committed and open runs of a step occupy; newest is the newest one alone.
type stepPart struct {
	part
	name   string
	newest int64
	at     time.Time
}

// measured is what a workspace occupies. unread says what could not be read.
type measured struct {
	runs, open, caches, own part
	steps                   map[string]*stepPart
	images                  *images.Space // nil if containerd does not answer
	unread                  error
}

// measure measures a workspace: a file that several runs have by hard links counts for the oldest.
func measure(ctx context.Context, ws *workspace.Workspace, olderThan time.Duration) (*measured, error) {
	m := &measured{steps: map[string]*stepPart{}}
	var usage tree.Usage
	size := func(path string) int64 {
		bytes, err := usage.Add(ctx, path)
		if m.unread == nil && err != nil {
			m.unread = err
		}
		return bytes
	}
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
	leaves := map[string]bool{}
	_, err = ws.Prune(ctx, workspace.PruneOptions{OlderThan: olderThan, DryRun: true}, func(id string) { leaves[id] = true })
	if err != nil {
		return nil, err
	}
	for _, list := range []struct {
		of   *part
		runs []workspace.Run
	}{{&m.runs, committed}, {&m.open, open}} {
		for _, r := range list.runs {
			bytes := size(r.Dir)
			list.of.add(bytes)
			s := m.stepOf(r, bytes)
			if leaves[r.ID] {
				list.of.prune += bytes
				s.prune += bytes
			}
		}
	}
	for _, cache := range caches {
		m.caches.add(size(filepath.Join(ws.Root, "caches", cache)))
	}
	usage = tree.Usage{}
	m.own.bytes = max(size(ws.Root)-m.runs.bytes-m.open.bytes-m.caches.bytes, 0)
	return m, ctx.Err()
}

// stepOf counts a run for its step.
func (m *measured) stepOf(r workspace.Run, bytes int64) *stepPart {
	var step string
	var at time.Time
	if meta, err := r.Meta(); err == nil {
		step, at = meta.StepID, meta.PreparedAt.Time
	}
	s := m.steps[step]
	if s == nil {
		s = &stepPart{name: step}
		m.steps[step] = s
	}
	s.add(bytes)
	if s.count == 1 || at.After(s.at) {
		s.newest, s.at = bytes, at
	}
	return s
}
