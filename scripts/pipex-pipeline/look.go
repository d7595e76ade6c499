package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"pipex/lib/prepare"
	"pipex/lib/run"
	"pipex/lib/step"
	"pipex/lib/workspace"
)

// looker tells whether steps are up to date: whether all that they are made from is
// what the record of their run says. Times of files decide nothing.
type looker struct {
	ctx    context.Context
	place  run.Place
	ws     *workspace.Workspace // nil if nothing was made yet
	images func() prepare.Digests
	// links are the steps' runs, records those of committed runs, hashes the digests
	// of host paths.
	links, records, hashes memory
	// sights, if not nil, gets all that is looked at.
	sights *sights
}

// memory finds out each thing once.
type memory struct{ known sync.Map }

func remember[T any](m *memory, key string, find func() (T, error)) (T, error) {
	once, ok := m.known.Load(key)
	if !ok {
		once, _ = m.known.LoadOrStore(key, sync.OnceValues(find))
	}
	return once.(func() (T, error))()
}

func newLooker(ctx context.Context, place run.Place) (*looker, error) {
	l := &looker{ctx: ctx, place: place, images: func() prepare.Digests { return nil }}
	ws, err := workspace.Open(place.Workdir, place.Workspace)
	if errors.Is(err, workspace.ErrNoWorkspace) {
		return l, nil
	}
	if err != nil {
		return nil, err
	}
	l.ws = ws
	found := make(chan prepare.Digests, 1)
	go func() { found <- l.ask() }()
	l.images = sync.OnceValue(func() prepare.Digests { return <-found })
	return l, nil
}

// patience is how long containerd may take to answer; it takes milliseconds.
const patience = 5 * time.Second

// ask asks containerd for its images. Whatever keeps it from answering is for the step
// to tell that needs it; until then images are what they were.
func (l *looker) ask() prepare.Digests {
	ctx, cancel := context.WithTimeout(l.ctx, patience)
	defer cancel()
	digests, _ := prepare.Images(ctx, l.place)
	return digests
}

// upToDate tells whether nothing has to be done for a step whose spec is known. It
// gives the target its key, and what to record if it is touched.
//
// The first line of a stamp is the run that the step was linked to, and the key of
// what was asked for then. make --touch adds lines: what the step was found to be when
// somebody took it for up to date.
func (l *looker) upToDate(t *target, stamp string) bool {
	t.key = l.key(t)
	l.sights.file(stamp)
	data, err := os.ReadFile(stamp)
	if err != nil || l.ws == nil {
		return false
	}
	lines := strings.Split(string(data), "\n")
	id, key, _ := strings.Cut(lines[0], " ")
	linked, err := l.linked(t.name)
	if err != nil || linked != id {
		return false
	}
	m, err := l.record(id)
	if err != nil {
		return false
	}
	now, err := l.now(t, m)
	if err != nil {
		return false
	}
	now.Key = t.key
	t.touched = now.digest()
	return t.touched == recorded(m, key).digest() && len(m.ChangedInputs) == 0 || slices.Contains(lines[1:], "touched "+t.touched)
}

// key stands for what the step's line means, and for the content of what it reads
// besides its mounts and sources.
func (l *looker) key(t *target) string {
	h := sha256.New()
	json.NewEncoder(h).Encode(t.spec)
	for _, path := range t.reads {
		if full, err := filepath.Abs(path); err == nil && !below(full, t.spec.Mounts) && !below(full, t.spec.Sources) {
			digest, _ := l.hash(path) // none if it does not exist
			l.sights.add(sawHost, path, digest)
			fmt.Fprintf(h, "%s %s\n", path, digest)
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// below tells whether a path is one of the mounts, or in one.
func below(path string, mounts []step.Mount) bool {
	return slices.ContainsFunc(mounts, func(m step.Mount) bool {
		return path == m.Host || strings.HasPrefix(path, strings.TrimSuffix(m.Host, "/")+"/")
	})
}

// state is all that a step's result is decided by.
type state struct {
	Key, Image      string
	Env             map[string]string
	Inputs          []step.PinnedInput
	Mounts, Sources []step.PinnedMount
}

func (s state) digest() string {
	if len(s.Env) == 0 {
		s.Env = nil
	}
	data, err := json.Marshal(s)
	if err != nil {
		panic(err) // there is nothing in it that JSON lacks
	}
	return fmt.Sprintf("%x", sha256.Sum256(data))
}

// recorded is what a run was made from.
func recorded(m *workspace.Meta, key string) state {
	s := state{Key: key, Image: m.ImageDigest, Env: m.Env}
	for _, in := range m.Inputs {
		s.Inputs = append(s.Inputs, step.PinnedInput{Step: in.Step, Digest: in.Digest, Copied: in.Copied})
	}
	for _, mount := range m.Mounts {
		s.Mounts = append(s.Mounts, step.PinnedMount{ContainerPath: mount.ContainerPath, Digest: mount.Digest})
	}
	for _, source := range m.Sources {
		s.Sources = append(s.Sources, step.PinnedMount{ContainerPath: source.ContainerPath, Digest: source.Digest})
	}
	return s
}

// now is what the step would be made from now. An image that containerd does not know
// is what it was.
func (l *looker) now(t *target, was *workspace.Meta) (s state, err error) {
	s = state{Image: was.ImageDigest, Env: t.spec.Env}
	if t.spec.Image != "" {
		digest := l.images().Of(t.spec.Image)
		l.sights.add(sawImage, t.spec.Image, digest)
		if digest != "" {
			s.Image = digest
		}
	}
	if s.Inputs, err = l.inputs(t.spec.Inputs); err != nil {
		return s, err
	}
	if s.Mounts, err = l.mounts(t.spec.Mounts); err != nil {
		return s, err
	}
	s.Sources, err = l.mounts(t.spec.Sources)
	return s, err
}

func (l *looker) inputs(list []step.Input) (inputs []step.PinnedInput, err error) {
	for _, in := range list {
		id := in.Run
		if id == "" {
			id, err = l.linked(in.Step)
		} else {
			l.sights.giveUp() // the prefix of an id may mean another run when there are more
			var r workspace.Run
			r, err = l.ws.Resolve(id)
			id = r.ID
		}
		var m *workspace.Meta
		if err == nil {
			m, err = l.record(id)
		}
		if in.Optional && (errors.Is(err, workspace.ErrNoStep) || errors.Is(err, workspace.ErrNoRun)) {
			l.sights.giveUp() // on NFS a missing name is found only by listing it
			err = nil
			continue
		}
		if err == nil && m.Artifacts == nil {
			err = errors.New("another tool has not recorded its digest")
		}
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, step.PinnedInput{Step: in.Step, Digest: m.Artifacts.Digest, Copied: in.Copy})
	}
	return inputs, nil
}

func (l *looker) mounts(list []step.Mount) (mounts []step.PinnedMount, err error) {
	for _, m := range list {
		digest, err := l.hash(m.Host)
		if err != nil {
			return nil, err
		}
		l.sights.add(sawHost, m.Host, digest)
		mounts = append(mounts, step.PinnedMount{ContainerPath: m.Path, Digest: digest})
	}
	return mounts, nil
}

func (l *looker) linked(name string) (string, error) {
	return remember(&l.links, name, func() (string, error) {
		l.sights.file(l.ws.LinkPath(name))
		return l.ws.Linked(name)
	})
}

// assume has a step linked to a run, as it would be.
func (l *looker) assume(name, run string) {
	l.links.known.Store(name, func() (string, error) { return run, nil })
}

// record is that of a committed run whose artifacts nobody has altered.
func (l *looker) record(id string) (*workspace.Meta, error) {
	return remember(&l.records, id, func() (*workspace.Meta, error) {
		r, err := l.ws.Run(id)
		if err == nil && !r.Committed {
			err = workspace.ErrNotCommitted
		}
		if err != nil {
			return nil, err
		}
		if l.sights != nil && l.ws.Traces(id, l.sights.file) != nil {
			l.sights.giveUp()
		}
		m, err := r.Meta()
		if err == nil {
			err = l.ws.Intact(l.ctx, r, m)
		}
		return m, err
	})
}

// hash is the digest of what a host path holds, as pipex-prepare finds it.
func (l *looker) hash(path string) (string, error) {
	return remember(&l.hashes, path, func() (string, error) {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			return "", err
		}
		return prepare.Digest(l.ctx, l.place, l.ws, real)
	})
}
