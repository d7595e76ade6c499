package container

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/containerd/leases"

	"pipex/lib/process"
)

// labelFetch says which process fetches an image under a lease.
const labelFetch = "pipex.fetch"

// fetchExpiry is when containerd drops the lease of a fetch whose process died
// by itself, as it does those of its own client.
const fetchExpiry = 24 * time.Hour

// FetchLease is how to lease what an image is fetched into, until it has a name:
// by this process, and no longer than it lives. See [Client.DropFetches].
func FetchLease() []leases.Opt {
	return []leases.Opt{
		leases.WithRandomID(), leases.WithExpiration(fetchExpiry), leases.WithLabels(map[string]string{labelFetch: process.Self().String()}),
	}
}

// DropFetches drops the leases of fetches whose process, on this machine, died.
func (c *Client) DropFetches(ctx context.Context) error {
	ctx = c.context(ctx)
	held, err := c.leases().List(ctx, "labels."+strconv.Quote(labelFetch))
	if err != nil {
		return fmt.Errorf("cannot list leases: %w", err)
	}
	for _, l := range held {
		if by := process.Parse(l.Labels[labelFetch]); !by.Here() || by.Alive() {
			continue
		}
		if err := c.leases().Delete(ctx, l); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("cannot drop lease %q: %w", l.ID, err)
		}
	}
	return nil
}
