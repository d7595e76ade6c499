package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"

	"pipex/lib/name"
	"pipex/lib/progress"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

// The greatest sizes of what describes runs, in bytes, and their greatest number.
const (
	maxManifest = 4 << 20
	maxRecord   = 64 << 20
	maxList     = 1 << 30
	maxLog      = 16 << 30
	maxRuns     = 100_000
	maxWindow   = 128 << 20 // of memory, for a decompressor
)

// Fetched is a run that is here now.
type Fetched struct {
	Run string
	// Link is the step that was linked to it where it was pushed; empty for none.
	Link string
}

// Fetch fetches the runs that a tag of the registry lists, and commits those that are not here. It calls done with each. The error wraps
// [ErrNone] if there is no such tag. Fetch takes the locks that preparing and committing a run takes.
func (r *Registry) Fetch(ctx context.Context, ws *workspace.Workspace, done func(Fetched) error) error {
	d, err := r.find(ctx, r.tag)
	if err != nil {
		return r.explain("fetch runs from", err)
	}
	all := []ocispec.Descriptor{d}
	if d.MediaType == ocispec.MediaTypeImageIndex {
		var index ocispec.Index
		if err := r.read(ctx, d, maxManifest, &index); err != nil {
			return r.explain("read the index of runs of", err)
		}
		if index.ArtifactType != IndexType || len(index.Manifests) > maxRuns {
			return r.explain("fetch runs from", errors.New("it is no index of runs"))
		}
		all = index.Manifests
	}
	work := progress.Begin("fetching", "run")
	defer work.End()
	work.Of(int64(len(all)), 0)
	for _, d := range all {
		id, err := r.fetch(ctx, ws, d)
		if err != nil {
			return r.explain("fetch a run from", err)
		}
		link := d.Annotations[linkKey]
		if link != "" {
			err = name.Check("step", link)
		}
		if err == nil {
			err = done(Fetched{id, link})
		}
		if err != nil {
			return err
		}
		progress.Add("run", 1, 0)
	}
	return nil
}

// FetchFingerprint fetches the run that the registry has for a fingerprint. ok is false if it has none.
func (r *Registry) FetchFingerprint(ctx context.Context, ws *workspace.Workspace, fingerprint string) (id string, ok bool, err error) {
	d, err := r.find(ctx, "fingerprint-"+fingerprint)
	if errors.Is(err, errdef.ErrNotFound) {
		return "", false, nil
	}
	if err != nil {
		return "", false, r.explain("look for a fingerprint in", err)
	}
	if id, err = r.fetch(ctx, ws, d); err != nil {
		return "", false, r.explain("fetch a run from", err)
	}
	run, err := ws.Run(id)
	if err != nil {
		return "", false, err
	}
	if m, err := run.Meta(); err != nil || m.Fingerprint != fingerprint {
		return "", false, r.explain("fetch a run from", errors.Join(errors.New("it has another fingerprint than its tag says"), err))
	}
	return id, true, nil
}

// read reads a description, whose digest it checks.
func (r *Registry) read(ctx context.Context, d ocispec.Descriptor, most int64, into any) error {
	data, err := r.bytes(ctx, d, most)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

func (r *Registry) bytes(ctx context.Context, d ocispec.Descriptor, most int64) ([]byte, error) {
	if d.Size > most || d.Size < 0 {
		return nil, fmt.Errorf("a description has %d bytes, more than %d", d.Size, most)
	}
	body, err := r.repo.Fetch(ctx, d)
	if err != nil {
		return nil, err
	}
	w, end := watch(body)
	defer end()
	return content.ReadAll(w, d)
}

// parts are the layers of a run, by type.
type parts map[string]ocispec.Descriptor

// fetch fetches a run, unless it is here, and returns its id.
func (r *Registry) fetch(ctx context.Context, ws *workspace.Workspace, d ocispec.Descriptor) (string, error) {
	var manifest ocispec.Manifest
	if err := r.read(ctx, d, maxManifest, &manifest); err != nil {
		return "", err
	}
	if manifest.ArtifactType != RunType {
		return "", fmt.Errorf("it is no run, but has type %q", manifest.ArtifactType)
	}
	layers := parts{}
	for _, l := range manifest.Layers {
		if _, twice := layers[l.MediaType]; twice {
			return "", errors.New("it is no run: a part is there twice")
		}
		layers[l.MediaType] = l
	}
	for _, kind := range []string{filesType, listType, metaType} {
		if layers[kind].Size <= 0 {
			return "", errors.New("it is no run: a part is missing")
		}
	}
	record, err := r.bytes(ctx, layers[metaType], maxRecord)
	if err != nil {
		return "", err
	}
	m, err := workspace.DecodeMeta(record)
	if err == nil {
		err = check(m)
	}
	if err != nil {
		return "", fmt.Errorf("its record is wrong: %w", err)
	}
	list, err := r.bytes(ctx, layers[listType], maxList)
	if err != nil {
		return "", err
	}
	t, err := tree.ReadManifest(bytes.NewReader(list))
	if err != nil {
		return "", fmt.Errorf("its list of artifacts is wrong: %w", err)
	}
	if t.Digest() != m.Artifacts.Digest {
		return "", errors.New("its list of artifacts is not that of its record")
	}
	if here, err := has(ws, m); here || err != nil {
		return m.RunID, err
	}
	return m.RunID, r.commit(ctx, ws, m, t, layers)
}

// check returns an error for a record that no commit has written.
func check(m *workspace.Meta) error {
	if err := name.Check("run", m.RunID); err != nil {
		return err
	}
	if m.StepID != "" {
		if err := name.Check("step", m.StepID); err != nil {
			return err
		}
	}
	switch {
	case m.Artifacts == nil || m.Status != workspace.Success:
		return errors.New("it is not that of a run that has succeeded")
	case m.Pinned.Fingerprint() != m.Fingerprint:
		return errors.New("its fingerprint is not that of what it says of the step")
	}
	return nil
}

// has reports whether the run is here. Another run of the same id is an error.
func has(ws *workspace.Workspace, m *workspace.Meta) (bool, error) {
	is, err := ws.Run(m.RunID)
	if errors.Is(err, workspace.ErrNoRun) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	own, err := is.Meta()
	if err != nil {
		return false, err
	}
	if !is.Committed || own.Artifacts == nil || own.Artifacts.Digest != m.Artifacts.Digest || own.Fingerprint != m.Fingerprint {
		return false, fmt.Errorf("another run %q is here", m.RunID)
	}
	return true, nil
}

// commit fetches the files of a run and commits it.
func (r *Registry) commit(ctx context.Context, ws *workspace.Workspace, m *workspace.Meta, t *tree.Tree, layers parts) error {
	lock, err := ws.HoldRun(m.RunID, "fetch")
	if err != nil {
		return err
	}
	defer lock.Release()
	if here, err := has(ws, m); here || err != nil {
		return err
	}
	var room unix.Statfs_t
	if err := unix.Statfs(ws.Root, &room); err == nil && t.Bytes() > int64(room.Bavail)*int64(room.Bsize) {
		return fmt.Errorf("run %q has %d bytes, more than the file system of the workspace has room for", m.RunID, t.Bytes())
	}
	shared, err := ws.Shared(ctx)
	if err != nil {
		return err
	}
	defer shared.Release()
	wanted := m.Artifacts.Digest
	m.Container, m.Artifacts = nil, nil // what it owned in a containerd is not here
	staged, err := ws.Stage(m, shared, func(run workspace.Run) error {
		for _, log := range []struct{ kind, path string }{{outType, run.Stdout()}, {errType, run.Stderr()}} {
			if d := layers[log.kind]; d.Size > 0 {
				if err := r.stream(ctx, ws, m.RunID, d, func(plain io.Reader) error { return writeLog(log.path, plain) }); err != nil {
					return err
				}
			}
		}
		if err := r.stream(ctx, ws, m.RunID, layers[filesType], func(plain io.Reader) error { return unpack(run, t, plain) }); err != nil {
			return err
		}
		is, err := tree.Scan(ctx, run.Artifacts())
		if err == nil && is.Digest() != wanted {
			err = errors.New("its artifacts are not those of its list")
		}
		return err
	})
	if err != nil {
		return err
	}
	if _, err := ws.Commit(ctx, staged, m); err != nil {
		return errors.Join(err, ws.Discard(staged))
	}
	return nil
}
