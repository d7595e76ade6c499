// Package image finds an image in containerd and reads its configuration. What is missing is
// fetched by whoever the caller names; package pull does it in this process. The packages that
// pull take longer to start than all of a lookup, so this package does not import them.
package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	namespacesapi "github.com/containerd/containerd/api/services/namespaces/v1"
	"github.com/containerd/containerd/content"
	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/containerd/images"
	"github.com/containerd/containerd/namespaces"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/endpoint"
	"pipex/lib/internal/trace"
	"pipex/lib/name"
	"pipex/lib/step"
)

// ErrMissing says that containerd does not have an image and it could not be fetched.
var ErrMissing = errors.New("no such image")

// ErrPacked says that the layers of an image are not unpacked.
var ErrPacked = errors.New("the image is not unpacked")

// AdoptedFrom is the label of an image that was adopted from another namespace; its value is
// that namespace.
const AdoptedFrom = "pipex.adopted-from"

// Wanted is an image that is looked for.
type Wanted struct {
	Ref  string
	Pull step.Pull
	// Platform is OS/ARCH[/VARIANT]; empty for this machine's platform.
	Platform string
}

// Fetch adopts, pulls or unpacks an image, as its Pull says. Afterwards its name stands for it
// in containerd.
type Fetch func(ctx context.Context, to endpoint.Containerd, w Wanted) error

// Resolve finds an image whose layers are unpacked, and calls fetch if there is none, or if the
// namespace that it was adopted from has another one. Afterwards only the image's name protects
// it from garbage collection, so lease its Digest. The error wraps [ErrMissing] if the image is
// not there and cannot be fetched.
func Resolve(ctx context.Context, c *containerd.Client, to endpoint.Containerd, w Wanted, fetch Fetch) (*Image, error) {
	ctx, part := trace.Start(ctx, "image resolve", w.Ref)
	defer part.End()
	ctx = c.Context(ctx)
	if w.Pull != step.PullAlways {
		if img, err := look(ctx, c, w, true); img != nil || err != nil {
			return img, err
		}
	}
	if err := fetch(ctx, to, w); err != nil {
		return nil, err
	}
	img, err := look(ctx, c, w, false)
	if img == nil && err == nil {
		err = fmt.Errorf("%w %q in containerd's namespace %q: it was removed after it had been fetched", ErrMissing, w.Ref, c.Namespace)
	}
	return img, err
}

// Look finds the image that Resolve would find, and changes nothing: its layers may be packed,
// and another namespace may have it. The error wraps [ErrMissing] if it would have to be pulled.
func Look(ctx context.Context, c *containerd.Client, w Wanted) (*Image, error) {
	ctx, part := trace.Start(ctx, "image resolve", w.Ref)
	defer part.End()
	ctx = c.Context(ctx)
	img, err := look(ctx, c, w, true)
	if img == nil && err == nil {
		img, err = elsewhere(ctx, c, w)
	}
	if img == nil && err == nil {
		err = fmt.Errorf("%w %q in containerd's namespace %q; pipex-image makes or imports one", ErrMissing, w.Ref, c.Namespace)
	}
	return img, err
}

// elsewhere finds an image that the first other namespace has, or nil.
func elsewhere(ctx context.Context, c *containerd.Client, w Wanted) (*Image, error) {
	others, err := namespacesapi.NewNamespacesClient(c.Conn).List(ctx, &namespacesapi.ListNamespacesRequest{})
	if err != nil {
		return nil, fmt.Errorf("cannot list namespaces: %w", errdefs.FromGRPC(err))
	}
	candidates, err := Names(w.Ref)
	if err != nil {
		return nil, err
	}
	for _, ns := range others.Namespaces {
		there := namespaces.WithNamespace(ctx, ns.Name)
		record, err := Find(there, c, candidates)
		if err != nil {
			return nil, err
		}
		if record == nil || ns.Name == c.Namespace {
			continue
		}
		img, err := Open(there, c, *record, w.Platform)
		if err == nil || errors.Is(err, ErrPacked) {
			return img, nil
		}
	}
	return nil, nil
}

// look finds an image that can be used as it is, or nil. With origin, an adopted image must be
// the one that the namespace of origin has.
func look(ctx context.Context, c *containerd.Client, w Wanted, origin bool) (*Image, error) {
	candidates, err := Names(w.Ref)
	if err != nil {
		return nil, err
	}
	record, err := Find(ctx, c, candidates)
	if record == nil || err != nil {
		return nil, err
	}
	// In the namespace of origin the name may refer to another image by now.
	if from := record.Labels[AdoptedFrom]; from != "" && origin {
		there, err := Find(namespaces.WithNamespace(ctx, from), c, candidates)
		if err != nil || there != nil && there.Target.Digest != record.Target.Digest {
			return nil, err
		}
	}
	img, err := Open(ctx, c, *record, w.Platform)
	if errdefs.IsNotFound(err) || errors.Is(err, ErrPacked) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot use image %q: %w", w.Ref, err)
	}
	return img, nil
}

// Find returns the record of the first of the names that exists in the context's namespace, or
// nil. If the names have a digest, any image with that digest will do: it has the same content.
func Find(ctx context.Context, c *containerd.Client, candidates []string) (*images.Image, error) {
	var filters []string
	for _, name := range candidates {
		filters = append(filters, "name=="+strconv.Quote(name))
	}
	_, digested, pinned := strings.Cut(candidates[0], "@")
	if pinned {
		filters = append(filters, "target.digest=="+strconv.Quote(digested))
		candidates = append(candidates, "")
	}
	found, err := imagesapi.NewImagesClient(c.Conn).List(ctx, &imagesapi.ListImagesRequest{Filters: filters})
	if err != nil {
		return nil, fmt.Errorf("cannot look up image %q: %w", candidates[0], errdefs.FromGRPC(err))
	}
	for _, name := range candidates {
		for _, i := range found.Images {
			if i.Name == name || name == "" && i.Target.Digest == digested {
				return &images.Image{Name: i.Name, Labels: i.Labels, Target: ocispec.Descriptor{
					MediaType: i.Target.MediaType, Digest: digest.Digest(i.Target.Digest), Size: i.Target.Size, Annotations: i.Target.Annotations,
				}}, nil
			}
		}
	}
	return nil, nil
}

// Match returns what matches a platform; empty for this machine's.
func Match(platform string) (platforms.MatchComparer, error) {
	if platform == "" {
		return platforms.Default(), nil
	}
	p, err := platforms.Parse(platform)
	if err != nil {
		return nil, name.Usage("invalid platform %q: OS/ARCH[/VARIANT], such as linux/arm64", platform)
	}
	return platforms.OnlyStrict(p), nil // and not one that this one can run, too
}

// Open reads the configuration of an image for a platform. The error is containerd's "not found"
// if a part of it is not here, and wraps [ErrPacked] if its layers are not unpacked; then there
// is an Image all the same.
func Open(ctx context.Context, c *containerd.Client, record images.Image, platform string) (*Image, error) {
	match, err := Match(platform)
	if err != nil {
		return nil, err
	}
	store := &blobs{contentapi.NewContentClient(c.Conn), map[digest.Digest][]byte{}}
	config, err := record.Config(ctx, store, match)
	if err != nil {
		return nil, err
	}
	data, err := content.ReadBlob(ctx, store, config)
	if err != nil {
		return nil, err
	}
	var spec ocispec.Image
	if err := json.Unmarshal(data, &spec); err != nil {
		return nil, fmt.Errorf("its configuration is damaged: %w", err)
	}
	// containerd looks at the platforms of an index only. Without --platform, an image
	// that is for another one may run all the same, by an emulator.
	if platform != "" && images.IsManifestType(record.Target.MediaType) && !match.Match(spec.Platform) {
		return nil, fmt.Errorf("image for another platform: %w", errdefs.ErrNotFound)
	}
	img := &Image{
		Digest: record.Target.Digest.String(), ID: config.Digest.String(), ChainID: identity.ChainID(spec.RootFS.DiffIDs).String(),
		Architecture: spec.Architecture,
		Entrypoint:   spec.Config.Entrypoint, Cmd: spec.Config.Cmd, Env: spec.Config.Env,
		Cwd: spec.Config.WorkingDir, User: spec.Config.User,
	}
	if _, err := c.SnapshotService(c.Snapshotter).Stat(ctx, img.ChainID); errdefs.IsNotFound(err) {
		return img, ErrPacked
	} else if err != nil {
		return nil, err
	}
	return img, nil
}
