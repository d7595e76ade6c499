package containerd

import (
	"context"
	"fmt"
	"strconv"

	"github.com/containerd/containerd/errdefs"
)

// Leased is the lease of an open run and the digests that it protects: those of its image.
type Leased struct {
	Object
	Content []string
}

// Leased returns the leases of all runs in the namespace, whatever workdir they are in.
func (c *Client) Leased(ctx context.Context) (all []Leased, err error) {
	ctx = c.Context(ctx)
	held, err := c.Leases().List(ctx, "labels."+strconv.Quote(labelRun))
	if err != nil {
		return nil, fmt.Errorf("cannot list leases: %w", err)
	}
	for _, l := range held {
		digests, err := c.Leases().Content(ctx, l.ID)
		if errdefs.IsNotFound(err) {
			continue // the run has ended meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("cannot list what lease %q protects: %w", l.ID, err)
		}
		all = append(all, Leased{Object{l.ID, owner(l.Labels)}, digests})
	}
	return all, nil
}

// owner is the reverse of [Owner.Labels].
func owner(l map[string]string) Owner {
	return Owner{Workspace: l[labelWorkspace], Workdir: l[labelWorkdir], Run: l[labelRun], Step: l[labelStep], Job: l[labelJob], Version: l[labelVersion]}
}
