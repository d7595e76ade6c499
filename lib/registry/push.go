package registry

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"pipex/lib/progress"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

// Push sends committed runs, and then the index of them. links has the steps that are linked to them, by run.
func (r *Registry) Push(ctx context.Context, ws *workspace.Workspace, runs []workspace.Run, links map[string]string) error {
	work := progress.Begin("pushing", "run")
	defer work.End()
	work.Of(int64(len(runs)), 0)
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, ArtifactType: IndexType}
	for _, run := range runs {
		d, err := r.push(ctx, ws, run)
		if err != nil {
			return r.explain(fmt.Sprintf("push run %q to", run.ID), err)
		}
		d.Annotations = map[string]string{runKey: run.ID}
		if step := links[run.ID]; step != "" {
			d.Annotations[linkKey] = step
		}
		d.ArtifactType = RunType
		index.Manifests = append(index.Manifests, d)
		progress.Add("run", 1, 0)
	}
	data, err := json.Marshal(index)
	if err == nil {
		err = r.repo.PushReference(ctx, describe(ocispec.MediaTypeImageIndex, data), bytes.NewReader(data), r.tag)
	}
	if err != nil {
		return r.explain("push the index of runs to", err)
	}
	return nil
}

// push sends a run, unless the registry has it.
func (r *Registry) push(ctx context.Context, ws *workspace.Workspace, run workspace.Run) (d ocispec.Descriptor, err error) {
	m, err := run.Meta()
	if err != nil {
		return d, err
	}
	if m.Artifacts == nil || m.Status != workspace.Success {
		return d, errors.New("it has not succeeded, or is not committed")
	}
	if d, err = r.find(ctx, "run-"+run.ID); err == nil {
		return plain(d), nil
	}
	if !errors.Is(err, errdef.ErrNotFound) {
		return d, err
	}
	list, err := os.ReadFile(run.Manifest())
	if err != nil {
		return d, err
	}
	content, err := tree.ReadManifest(bytes.NewReader(list))
	if err != nil {
		return d, err
	}
	record, err := json.Marshal(m)
	if err != nil {
		return d, err
	}
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: RunType,
		Config: ocispec.DescriptorEmptyJSON, Annotations: map[string]string{runKey: run.ID, stepKey: m.StepID},
	}
	for _, layer := range []struct {
		kind  string
		write func(io.Writer) error
	}{
		{filesType, func(w io.Writer) error { return pack(w, run, content) }},
		{listType, func(w io.Writer) error { _, err := w.Write(list); return err }},
		{metaType, func(w io.Writer) error { _, err := w.Write(record); return err }},
		{outType, func(w io.Writer) error { return compressFile(w, run.Stdout()) }},
		{errType, func(w io.Writer) error { return compressFile(w, run.Stderr()) }},
	} {
		d, err := r.layer(ctx, ws, run.ID, layer.kind, layer.write)
		if err != nil {
			return d, err
		}
		manifest.Layers = append(manifest.Layers, d)
	}
	if err := r.blob(ctx, ocispec.DescriptorEmptyJSON, bytes.NewReader(ocispec.DescriptorEmptyJSON.Data)); err != nil {
		return d, err
	}
	data, err := json.Marshal(manifest)
	if err != nil {
		return d, err
	}
	d = describe(ocispec.MediaTypeImageManifest, data)
	for _, tag := range []string{"fingerprint-" + m.Fingerprint, "run-" + run.ID} { // the last says that all is there
		if err := r.repo.PushReference(ctx, d, bytes.NewReader(data), tag); err != nil {
			return d, err
		}
	}
	return d, nil
}

// plain is a descriptor without what a registry may add.
func plain(d ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
}

func describe(kind string, data []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: kind, Digest: digest.FromBytes(data), Size: int64(len(data))}
}

// layer writes a layer to a temporary file and sends it, unless the registry has it.
func (r *Registry) layer(ctx context.Context, ws *workspace.Workspace, owner, kind string, write func(io.Writer) error) (d ocispec.Descriptor, err error) {
	path, err := ws.Scratch(owner)
	if err != nil {
		return d, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return d, err
	}
	defer f.Close()
	os.Remove(path)
	sum := &summing{to: f, sum: sha256.New()}
	if err := write(sum); err != nil {
		return d, err
	}
	d = ocispec.Descriptor{MediaType: kind, Digest: digest.NewDigest(digest.SHA256, sum.sum), Size: sum.size}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return d, err
	}
	return d, r.blob(ctx, d, f)
}

func (r *Registry) blob(ctx context.Context, d ocispec.Descriptor, from io.ReadSeeker) error {
	if has, err := r.repo.Blobs().Exists(ctx, d); err != nil || has {
		return err
	}
	return r.repo.Blobs().Push(ctx, d, from)
}

// summing counts and hashes what is written.
type summing struct {
	to   io.Writer
	sum  hash.Hash
	size int64
}

func (s *summing) Write(p []byte) (int, error) {
	n, err := s.to.Write(p)
	s.sum.Write(p[:n])
	s.size += int64(n)
	return n, err
}

// compressor makes the same bytes of the same content.
func compressor(w io.Writer) (*zstd.Encoder, error) {
	return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
}

func compressFile(w io.Writer, path string) error {
	z, err := compressor(w)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err == nil {
		_, err = io.Copy(z, f)
		f.Close()
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, z.Close())
}

// pack writes the artifacts as an archive, in the order of their list, without owners and times.
func pack(w io.Writer, run workspace.Run, content *tree.Tree) error {
	z, err := compressor(w)
	if err != nil {
		return err
	}
	defer z.Close()
	t := tar.NewWriter(z)
	root, err := os.OpenRoot(run.Artifacts())
	if err != nil {
		return err
	}
	defer root.Close()
	for _, e := range content.Entries {
		h := &tar.Header{Name: e.Path, Mode: int64(e.Mode.Perm()), ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
		switch {
		case e.Mode.IsDir():
			h.Typeflag, h.Name = tar.TypeDir, e.Path+"/"
		case e.Mode&fs.ModeSymlink != 0:
			h.Typeflag, h.Linkname = tar.TypeSymlink, e.Link
		default:
			h.Typeflag, h.Size = tar.TypeReg, e.Size
		}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		f, err := root.Open(e.Path)
		if err != nil {
			return err
		}
		_, err = io.CopyN(t, f, e.Size)
		f.Close()
		if err != nil {
			return fmt.Errorf("cannot read %q: %w; pipex-commit --verify says what has changed", e.Path, err)
		}
	}
	return errors.Join(t.Close(), z.Close())
}

// Steps returns the runs of the links of a workspace, and the steps by run.
func Steps(ws *workspace.Workspace) (runs []workspace.Run, links map[string]string, err error) {
	all, err := ws.Links()
	if err != nil {
		return nil, nil, err
	}
	links = map[string]string{}
	for _, l := range all {
		r, err := ws.Run(l.RunID)
		if err != nil {
			return nil, nil, err
		}
		if links[r.ID] == "" {
			runs = append(runs, r)
		}
		links[r.ID] = l.Step
	}
	slices.SortFunc(runs, func(a, b workspace.Run) int { return bytes.Compare([]byte(a.ID), []byte(b.ID)) })
	return runs, links, nil
}
