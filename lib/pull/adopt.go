package pull

import (
	"context"
	"fmt"

	"github.com/containerd/containerd/content"
	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/containerd/images"
	"github.com/containerd/containerd/namespaces"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"pipex/lib/internal/image"
	"pipex/lib/internal/trace"
)

// adopt looks for the image in the other namespaces and adopts the first one that it finds.
// containerd stores a blob once for all namespaces, so nothing is downloaded or copied.
// known is the record from an earlier adoption, or nil. adopt returns nil if no namespace has
// the image, or if it has not changed since known.
func (r *resolver) adopt(ctx context.Context, candidates []string, known *images.Image) (*images.Image, error) {
	others, err := r.client.NamespaceService().List(ctx)
	if err != nil {
		return nil, err
	}
	for _, ns := range others {
		if ns == r.containerd.Namespace || known != nil && ns != known.Labels[image.AdoptedFrom] {
			continue
		}
		there := namespaces.WithNamespace(ctx, ns)
		found, err := image.Find(there, r.containerd, candidates)
		if err != nil {
			return nil, err
		}
		if found == nil || known != nil && found.Target.Digest == known.Target.Digest {
			continue
		}
		return r.take(ctx, there, ns, *found)
	}
	return nil, nil
}

// take copies the image's record, and its blobs' entries, from the namespace ns, of which
// there is the context.
func (r *resolver) take(ctx, there context.Context, ns string, found images.Image) (*images.Image, error) {
	ctx, part := trace.Start(ctx, "image adopt", found.Name, "from", ns)
	defer part.End()
	ctx, done, err := r.containerd.LeaseFetch(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	store := r.client.ContentStore()
	claim := images.HandlerFunc(func(_ context.Context, desc ocispec.Descriptor) ([]ocispec.Descriptor, error) {
		return nil, r.claim(ctx, there, store, desc)
	})
	children := images.LimitManifests(images.ChildrenHandler(store), r.platform, 1)
	label := images.SetChildrenMappedLabels(store, children, nil)
	if err := images.Walk(ctx, images.Handlers(claim, label), found.Target); err != nil {
		return nil, err
	}
	found.Labels = map[string]string{image.AdoptedFrom: ns}
	record, err := r.client.ImageService().Create(ctx, found)
	if errdefs.IsAlreadyExists(err) {
		record, err = r.client.ImageService().Update(ctx, found)
	}
	return &record, err
}

// claim adds a blob of another namespace to ours.
func (r *resolver) claim(ctx, there context.Context, store content.Store, desc ocispec.Descriptor) error {
	blob, err := store.ReaderAt(there, desc)
	if err != nil {
		return fmt.Errorf("namespace has the image but not all of it: %w", err)
	}
	defer blob.Close()
	return content.WriteBlob(ctx, store, "pipex-adopt-"+desc.Digest.String(), content.NewReader(blob), desc)
}
