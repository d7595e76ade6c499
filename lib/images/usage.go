package images

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/containerd/snapshots"

	"pipex/lib/internal/containerd"
	"pipex/lib/run"
)

// Space is what the namespace of a containerd occupies, in bytes. What several images share counts
// once.
type Space struct {
	// Images are the images, Bytes what they occupy, and Prunable what [Prune] would free.
	Images          int
	Bytes, Prunable int64
	// Roots are the writable root file systems of containers, RootBytes what they occupy.
	Roots     int
	RootBytes int64
}

// Occupied measures the namespace. Prunable is for images whose name is at least so old; it is zero
// if it is not known which images are in use, and then there is an error as well. If it cannot measure,
// it returns nil and an error.
func Occupied(ctx context.Context, place run.Place, olderThan time.Duration) (*Space, error) {
	uses, unknown := Uses(ctx, place.Workdir, place.Containerd, All)
	c, err := containerd.Connect(ctx, place.Containerd)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	all, err := list(ctx, c, uses)
	if err != nil {
		return nil, err
	}
	sizes, err := measure(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("cannot measure images: %w", err)
	}
	s := new(Space)
	old, _ := prunable(all, olderThan)
	leaves := map[string]bool{}
	for _, img := range old {
		leaves[img.Name] = true
	}
	every, kept := map[string]bool{}, map[string]bool{}
	var stays int64
	for _, img := range all {
		s.Bytes += sizes.of("content/"+img.Digest, every)
		if !leaves[img.Name] {
			stays += sizes.of("content/"+img.Digest, kept)
		}
	}
	s.Images = len(all)
	if unknown == nil {
		s.Prunable = s.Bytes - stays
	}
	inside := c.Context(ctx)
	store := c.SnapshotService(c.Snapshotter)
	err = store.Walk(inside, func(_ context.Context, info snapshots.Info) error {
		if info.Kind != snapshots.KindActive {
			return nil
		}
		usage, err := store.Usage(inside, info.Name)
		if errdefs.IsNotFound(err) {
			return nil // removed meanwhile
		}
		s.Roots++
		s.RootBytes += usage.Size
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot measure snapshots: %w", err)
	}
	return s, unknown
}
