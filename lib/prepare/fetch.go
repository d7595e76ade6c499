package prepare

import (
	"context"
	"errors"
	"fmt"

	"pipex/lib/internal/endpoint"
	"pipex/lib/internal/image"
	"pipex/lib/run"
)

// Wanted is an image that is to be fetched, and Fetch fetches it; see [image.Fetch].
type (
	Wanted = image.Wanted
	Fetch  = image.Fetch
)

// FetchBy returns a Fetch that runs pipex-pull; see [run.Puller].
func FetchBy(by run.Puller) Fetch {
	return func(ctx context.Context, to endpoint.Containerd, w Wanted) error {
		options := []string{"--pull=" + string(w.Pull)}
		if w.Platform != "" {
			options = append(options, "--platform="+w.Platform)
		}
		err := by.Fetch(ctx, to, w.Ref, options...)
		if said := new(run.SaidError); err == nil || errors.As(err, &said) {
			return err
		}
		return fmt.Errorf("%w %q, and %w", ErrNoImage, w.Ref, err)
	}
}

// noFetch is the Fetch of a caller who has none.
func noFetch(_ context.Context, to endpoint.Containerd, w Wanted) error {
	return fmt.Errorf("%w %q in containerd's namespace %q, and it may not be fetched", ErrNoImage, w.Ref, to.Namespace)
}
