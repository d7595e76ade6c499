package containerd

import (
	"context"
	"fmt"

	"github.com/containerd/containerd/errdefs"
	"golang.org/x/sync/errgroup"
)

// RemoveSnapshots removes what the container id has written: its layer and the copies of its
// sources. It ignores what does not exist.
func (c *Client) RemoveSnapshots(ctx context.Context, id string) error {
	ctx = c.Context(ctx)
	var g errgroup.Group
	for _, key := range []string{id, id + SourcesSuffix} {
		g.Go(func() error {
			if err := c.SnapshotService(c.Snapshotter).Remove(ctx, key); err != nil && !errdefs.IsNotFound(err) {
				return fmt.Errorf("cannot remove snapshot %q: %w", key, err)
			}
			return nil
		})
	}
	return g.Wait()
}
