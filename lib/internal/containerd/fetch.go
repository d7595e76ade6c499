package containerd

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/containerd/leases"
	"github.com/google/uuid"
)

// labelFetch marks a lease under which an image is fetched.
const labelFetch = "pipex.fetch"

// fetchExpiry is the time after which containerd itself removes the lease of a fetch, the
// same as for leases of its own client.
const fetchExpiry = 24 * time.Hour

// LeaseFetch creates a lease that protects what is fetched until the image has a name, and
// returns a context that uses it. done removes the lease. Until then this process listens
// on an abstract socket (unix(7)) with the lease's name. The kernel closes the socket when
// the process dies; from that [Client.DropFetches] sees that it can remove the lease.
func (c *Client) LeaseFetch(ctx context.Context) (_ context.Context, done func(), err error) {
	ctx = c.Context(ctx)
	id := "pipex-fetch-" + uuid.NewString()
	alive, err := net.Listen("unix", "@"+id)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot lease a fetch: %w", err)
	}
	lease, err := c.Leases().Create(ctx, leases.WithID(id), leases.WithExpiration(fetchExpiry), leases.WithLabels(map[string]string{labelFetch: "true"}))
	if err != nil {
		alive.Close()
		return nil, nil, fmt.Errorf("cannot lease a fetch: %w", err)
	}
	return leases.WithLease(ctx, id), func() {
		c.Leases().Delete(context.WithoutCancel(ctx), lease)
		alive.Close()
	}, nil
}

// DropFetches removes the leases of fetches whose process, on this machine, has died, and waits
// until containerd has collected what they fetched.
func (c *Client) DropFetches(ctx context.Context) error {
	ctx = c.Context(ctx)
	held, err := c.Leases().List(ctx, "labels."+strconv.Quote(labelFetch))
	if err != nil {
		return fmt.Errorf("cannot list leases: %w", err)
	}
	for _, l := range held {
		if alive, err := net.Dial("unix", "@"+l.ID); err == nil {
			alive.Close()
			continue
		}
		if err := c.Leases().Delete(ctx, l, leases.SynchronousDelete); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("cannot drop lease %q: %w", l.ID, err)
		}
	}
	return nil
}
