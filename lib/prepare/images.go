package prepare

import (
	"context"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/image"
	"pipex/lib/run"
)

// Digests are the digests of images by their names; see [image.Digests.Of].
type Digests = image.Digests

// Images asks containerd once for all its images.
func Images(ctx context.Context, p run.Place) (Digests, error) {
	client, err := containerd.Connect(ctx, p.Containerd)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return image.List(ctx, client)
}
