package pull

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	client "github.com/containerd/containerd"
	"github.com/containerd/containerd/archive/compression"
	"github.com/containerd/containerd/content"
	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/containerd/images"
	"github.com/containerd/containerd/images/archive"
	"github.com/containerd/containerd/leases"
	"github.com/containerd/log"
	"github.com/containerd/platforms"
	"github.com/google/uuid"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/endpoint"
	"pipex/lib/internal/trace"
	"pipex/lib/progress"
)

// Imported is an image that an archive had.
type Imported struct {
	Name, Digest string
	// Platforms are those for which the archive has all of the image.
	Platforms []string
	// Native says that this machine's platform is one of them; then the layers are unpacked.
	Native bool
}

// The greatest sizes of what describes images in an archive: an index, a manifest or a
// configuration, in bytes, and a list of manifests.
const (
	maxDescription = 8 << 20
	maxManifests   = 1000
)

// Import reads a tar archive with images, plain or compressed with gzip or zstd: an OCI layout, or what
// docker save, podman save or buildah push write. It gives the images their names, and unpacks those for
// this machine's platform. name, unless it is empty, replaces the archive's name for its image. Nothing is
// left of an archive that cannot be imported as a whole, and no image changes its name.
func Import(ctx context.Context, to endpoint.Containerd, archive io.Reader, name string) (_ []Imported, err error) {
	ctx, part := trace.Start(ctx, "image import")
	defer part.End()
	ctx = log.WithLogger(ctx, silent)
	c, err := containerd.Connect(ctx, to)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	api, err := client.NewWithConn(c.Conn)
	if err != nil {
		return nil, err
	}
	ctx, done, err := c.LeaseFetch(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if id, ok := leases.FromContext(ctx); err != nil && ok {
			// Now, and not some time later: it may be gigabytes.
			c.Leases().Delete(context.WithoutCancel(ctx), leases.Lease{ID: id}, leases.SynchronousDelete)
		}
		done()
	}()
	i := &importer{client: api, containerd: c, store: &archiveStore{Store: api.ContentStore(), id: uuid.NewString()}, seen: map[digest.Digest]*described{}}
	return i.run(ctx, archive, name)
}

type importer struct {
	client     *client.Client
	containerd *containerd.Client
	store      *archiveStore
	seen       map[digest.Digest]*described
}

// described is what a manifest or an index describes: the platforms for which all of it is here, or
// why there is none.
type described struct {
	platforms []ocispec.Platform
	err       error
}

func (i *importer) run(ctx context.Context, from io.Reader, name string) ([]Imported, error) {
	work := progress.Begin("importing", "")
	defer work.End()
	if f, ok := from.(interface{ Stat() (fs.FileInfo, error) }); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			work.Of(0, info.Size())
		}
	}
	source := &interruptible{ctx: ctx, from: from}
	from = source
	plain, err := compression.DecompressStream(from)
	if err != nil {
		return nil, archiveError(err)
	}
	defer plain.Close()
	desc, err := archive.ImportIndex(ctx, i.store, plain)
	if err != nil && source.read == 0 && ctx.Err() == nil {
		err = io.EOF
	}
	if err != nil {
		return nil, archiveError(err)
	}
	drain(from)
	var index ocispec.Index
	if err := i.read(ctx, desc, &index); err != nil {
		return nil, err
	}
	if len(index.Manifests) == 0 {
		return nil, errors.New("it has no image")
	}
	if len(index.Manifests) > maxManifests {
		return nil, fmt.Errorf("it lists %d images; at most %d can be imported", len(index.Manifests), maxManifests)
	}
	found, err := nameImages(desc, index.Manifests, name)
	if err != nil {
		return nil, err
	}
	var all []Imported
	for _, f := range found {
		d := i.describe(ctx, f.Target, 0)
		if d.err != nil {
			return nil, fmt.Errorf("image %q: %w", f.Name, d.err)
		}
		one := Imported{Name: f.Name, Digest: f.Target.Digest.String()}
		for _, p := range d.platforms {
			one.Platforms = append(one.Platforms, platforms.Format(p))
			one.Native = one.Native || platforms.Default().Match(p)
		}
		// Without an index, an image for another platform may run by an emulator.
		if one.Native || images.IsManifestType(f.Target.MediaType) {
			if err := i.unpack(ctx, f); err != nil {
				return nil, fmt.Errorf("image %q: cannot unpack its layers: %w", f.Name, err)
			}
		}
		all = append(all, one)
	}
	for _, f := range found {
		f.Target = ocispec.Descriptor{MediaType: f.Target.MediaType, Digest: f.Target.Digest, Size: f.Target.Size}
		service := i.client.ImageService()
		if _, err := service.Create(ctx, f); errdefs.IsAlreadyExists(err) {
			_, err = service.Update(ctx, f)
			if err != nil {
				return nil, err
			}
		} else if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (i *importer) unpack(ctx context.Context, img images.Image) error {
	match := platforms.Default()
	if images.IsManifestType(img.Target.MediaType) {
		match = platforms.All
	}
	return client.NewImageWithPlatform(i.client, img, match).Unpack(ctx, i.containerd.Snapshotter)
}

// describe looks through what an index or a manifest refers to, and tells containerd's garbage
// collector of it. Each blob is looked at once, and an index in an index is refused: what a hostile
// archive lists many times costs no more.
func (i *importer) describe(ctx context.Context, desc ocispec.Descriptor, depth int) *described {
	if d := i.seen[desc.Digest]; d != nil {
		return d
	}
	d := &described{}
	i.seen[desc.Digest] = d
	var children []ocispec.Descriptor
	switch {
	case images.IsManifestType(desc.MediaType):
		children, d.platforms, d.err = i.manifest(ctx, desc)
	case images.IsIndexType(desc.MediaType) && depth == 0:
		var index ocispec.Index
		if d.err = i.read(ctx, desc, &index); d.err != nil {
			break
		}
		if len(index.Manifests) > maxManifests {
			d.err = fmt.Errorf("it lists %d manifests; at most %d can be imported", len(index.Manifests), maxManifests)
			break
		}
		var missing error
		for _, child := range index.Manifests {
			// docker save and others leave out what they do not have.
			of := i.describe(ctx, child, depth+1)
			if of.err != nil {
				missing = errors.Join(missing, of.err)
				continue
			}
			children = append(children, child)
			if p := of.platforms; child.Platform != nil {
				p = []ocispec.Platform{*child.Platform}
				if child.Platform.OS != "unknown" { // an attestation
					d.platforms = append(d.platforms, p...)
				}
			} else {
				d.platforms = append(d.platforms, p...)
			}
		}
		if len(d.platforms) == 0 {
			if d.err = missing; missing == nil {
				d.err = errors.New("its index lists no image")
			}
		}
	default:
		d.err = fmt.Errorf("it is no image, but has type %q", desc.MediaType)
	}
	if d.err == nil {
		handler := images.SetChildrenMappedLabels(i.store, func(context.Context, ocispec.Descriptor) ([]ocispec.Descriptor, error) { return children, nil }, nil)
		_, d.err = handler(ctx, desc)
	}
	return d
}

// manifest returns what a manifest refers to, all of which is here, and its platform.
func (i *importer) manifest(ctx context.Context, desc ocispec.Descriptor) (children []ocispec.Descriptor, of []ocispec.Platform, err error) {
	var m ocispec.Manifest
	if err := i.read(ctx, desc, &m); err != nil {
		return nil, nil, err
	}
	if !images.IsConfigType(m.Config.MediaType) {
		return nil, nil, fmt.Errorf("it is no image, but has a configuration of type %q", m.Config.MediaType)
	}
	var config ocispec.Image
	if err := i.read(ctx, m.Config, &config); err != nil {
		return nil, nil, err
	}
	for _, layer := range m.Layers {
		if _, err := i.store.Info(ctx, layer.Digest); errdefs.IsNotFound(err) {
			return nil, nil, fmt.Errorf("a part is missing: blob %s", layer.Digest)
		} else if err != nil {
			return nil, nil, err
		}
	}
	return append([]ocispec.Descriptor{m.Config}, m.Layers...), []ocispec.Platform{platforms.Normalize(config.Platform)}, nil
}

// read reads a blob that describes something.
func (i *importer) read(ctx context.Context, desc ocispec.Descriptor, v any) error {
	if err := desc.Digest.Validate(); err != nil {
		return fmt.Errorf("invalid digest %q: %w", desc.Digest, err)
	}
	desc.Data = nil
	data, err := content.ReadBlob(ctx, i.store, desc)
	if errdefs.IsNotFound(err) {
		return fmt.Errorf("a part is missing: blob %s", desc.Digest)
	}
	if err != nil {
		return err
	}
	if int64(len(data)) != desc.Size {
		return fmt.Errorf("blob %s has %d bytes, and not %d", desc.Digest, len(data), desc.Size)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("blob %s is damaged: %w", desc.Digest, err)
	}
	return nil
}

// archiveStore is containerd's content store for one import.
type archiveStore struct {
	content.Store
	id string
}

// Writer gives each import writers of its own: containerd names them for the file's name in the
// archive, so that one that was killed would leave its bytes to the next.
func (s *archiveStore) Writer(ctx context.Context, opts ...content.WriterOpt) (content.Writer, error) {
	var w content.WriterOpts
	for _, opt := range opts {
		if err := opt(&w); err != nil {
			return nil, err
		}
	}
	ref := digest.FromString(w.Ref).Encoded() // a name of any length
	return s.Store.Writer(ctx, append(opts, content.WithRef("pipex-import-"+s.id+"-"+ref))...)
}

// ReaderAt refuses descriptions that would fill the memory. A layer has its type, or none yet.
func (s *archiveStore) ReaderAt(ctx context.Context, desc ocispec.Descriptor) (content.ReaderAt, error) {
	r, err := s.Store.ReaderAt(ctx, desc)
	if err == nil && desc.MediaType != "" && !images.IsLayerType(desc.MediaType) && r.Size() > maxDescription {
		r.Close()
		return nil, fmt.Errorf("blob %s has %d bytes, too many to describe an image", desc.Digest, r.Size())
	}
	return r, err
}

// drain reads what tar has padded an archive with, so that whoever writes it gets no SIGPIPE. It
// does not wait long for the end of what never ends.
func drain(from io.Reader) {
	ended := make(chan struct{})
	go func() {
		io.CopyN(io.Discard, from, 1<<20)
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(time.Second):
	}
}

// archiveError words the errors of reading an archive for people.
func archiveError(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the archive is truncated")
	case errors.Is(err, io.EOF):
		return errors.New("it is empty")
	case errors.Is(err, tar.ErrHeader):
		return errors.New("it is no tar archive, plain or compressed with gzip or zstd")
	case strings.Contains(err.Error(), "unrecognized image format"):
		return errors.New("it has no image: neither oci-layout nor manifest.json is in the archive; pipex-image dir makes an image of a root file system")
	}
	return err
}

// interruptible reads until its context ends, also if what it reads from, such as a pipe, never
// answers.
type interruptible struct {
	ctx  context.Context
	from io.Reader
	pipe *io.PipeReader
	read int64 // bytes
}

func (r *interruptible) Read(p []byte) (int, error) {
	if r.pipe == nil {
		out, in := io.Pipe()
		r.pipe = out
		context.AfterFunc(r.ctx, func() { in.CloseWithError(context.Cause(r.ctx)) })
		go func() {
			_, err := io.CopyBuffer(struct{ io.Writer }{in}, struct{ io.Reader }{r.from}, make([]byte, 256<<10))
			in.CloseWithError(err)
		}()
	}
	n, err := r.pipe.Read(p)
	r.read += int64(n)
	progress.Add("", 0, int64(n))
	return n, err
}
