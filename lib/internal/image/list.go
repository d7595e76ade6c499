package image

import (
	"context"

	imagesapi "github.com/containerd/containerd/api/services/images/v1"

	"pipex/lib/internal/containerd"
)

// Digests are what the names in containerd's namespace stand for.
type Digests map[string]string

// List asks containerd once for all its images.
func List(ctx context.Context, c *containerd.Client) (Digests, error) {
	list, err := imagesapi.NewImagesClient(c.Conn).List(c.Context(ctx), &imagesapi.ListImagesRequest{})
	if err != nil {
		return nil, err
	}
	digests := Digests{}
	for _, i := range list.Images {
		digests[i.Name] = i.Target.Digest
	}
	return digests, nil
}

// Of is the digest of the image that a reference means, as [Resolve] finds it; none
// if there is no such image.
func (d Digests) Of(ref string) string {
	candidates, err := Names(ref)
	if err != nil {
		return ""
	}
	for _, name := range candidates {
		if digest := d[name]; digest != "" {
			return digest
		}
	}
	return ""
}
