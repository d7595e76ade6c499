// Package pull fetches images: it adopts one from another namespace of the same containerd, or
// pulls it from its registry, and unpacks its layers. Package image finds what is here.
package pull

import (
	"context"
	"errors"
	"fmt"
	"io"

	client "github.com/containerd/containerd"
	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/containerd/images"
	"github.com/containerd/containerd/namespaces"
	"github.com/containerd/log"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/sirupsen/logrus"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/endpoint"
	"pipex/lib/internal/image"
	"pipex/lib/internal/trace"
	"pipex/lib/step"
)

// Wanted is an image that is to be fetched, and Image one that is here.
type (
	Wanted   = image.Wanted
	Image    = image.Image
	Progress = image.Progress
)

// Options say how images are fetched.
type Options struct {
	// HostsDir is the directory of containerd's hosts.toml files, with one directory per
	// registry; empty for none.
	HostsDir string
	// Progress is called while an image is pulled; it may be nil.
	Progress func(Progress)
}

// Fetch is an [image.Fetch] that works in this process.
func (opt Options) Fetch(ctx context.Context, to endpoint.Containerd, w Wanted) error {
	_, err := opt.Get(ctx, to, w)
	return err
}

// Get finds an image, fetches it as w.Pull says, and unpacks it. Afterwards only its name
// protects it from garbage collection. The error wraps [image.ErrMissing] if the image is not
// there and cannot be fetched. If ctx ends meanwhile, no lease is left.
func (opt Options) Get(ctx context.Context, to endpoint.Containerd, w Wanted) (*Image, error) {
	spec := (&step.Spec{Image: w.Ref, Pull: w.Pull, Options: step.Options{Platform: w.Platform}}).Complete()
	if err := spec.Check(); err != nil {
		return nil, err
	}
	w.Pull = spec.Pull
	c, err := containerd.Connect(ctx, to)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return get(ctx, c, w, opt)
}

// silent is a logger that discards everything. containerd's packages take their logger from
// the context, so the process's own logger is not changed.
var silent = func() *log.Entry {
	l := logrus.New()
	l.SetOutput(io.Discard)
	return logrus.NewEntry(l)
}()

// resolver finds images with one client.
type resolver struct {
	Options
	Wanted
	client     *client.Client
	containerd *containerd.Client
	platform   platforms.MatchComparer
	pulled     bool // by this call
}

func get(ctx context.Context, c *containerd.Client, w Wanted, opt Options) (*Image, error) {
	ctx = log.WithLogger(ctx, silent) // containerd's packages log what their errors say anyway
	api, err := client.NewWithConn(c.Conn)
	if err != nil {
		return nil, err
	}
	r := &resolver{Options: opt, Wanted: w, client: api, containerd: c}
	if r.platform, err = image.Match(w.Platform); err != nil {
		return nil, err
	}
	ctx = namespaces.WithNamespace(ctx, c.Namespace)
	candidates, err := names(w.Ref)
	if err != nil {
		return nil, err
	}
	record, err := r.find(ctx, candidates)
	if err != nil {
		return nil, err
	}
	img, err := r.open(ctx, *record)
	if errdefs.IsNotFound(err) && w.Pull == step.PullMissing && !r.pulled {
		// The image is here only for other platforms, or is incomplete.
		if again, pullErr := r.pull(ctx, candidates[len(candidates)-1]); pullErr == nil {
			if img, err := r.open(ctx, *again); err == nil {
				return img, nil
			}
		}
	}
	if errdefs.IsNotFound(err) {
		return nil, fmt.Errorf("%w %q for platform %s in containerd's namespace %q, where it has %s", image.ErrMissing, w.Ref, r.wanted(), c.Namespace, r.available(ctx, *record))
	}
	if err != nil {
		return nil, fmt.Errorf("cannot use image %q: %w", w.Ref, err)
	}
	return img, nil
}

// names is [image.Names] for a reference that is parsed as a whole.
func names(ref string) ([]string, error) {
	if _, err := reference.ParseDockerRef(ref); err != nil {
		return nil, fmt.Errorf("invalid image reference %q: %w", ref, err)
	}
	return image.Names(ref)
}

// find returns the record of the image in our namespace. It adopts or pulls it if needed.
func (r *resolver) find(ctx context.Context, candidates []string) (*images.Image, error) {
	full := candidates[len(candidates)-1]
	if r.Pull == step.PullAlways {
		return r.pull(ctx, full)
	}
	record, err := image.Find(ctx, r.containerd, candidates)
	if err != nil {
		return nil, err
	}
	// Ask again for an adopted image: in the namespace of origin the name may refer to
	// another image by now.
	if record == nil || record.Labels[image.AdoptedFrom] != "" {
		adopted, err := r.adopt(ctx, candidates, record)
		if err != nil {
			return nil, fmt.Errorf("cannot adopt image %q: %w", r.Ref, err)
		}
		if adopted != nil {
			record = adopted
		}
	}
	if record != nil {
		return record, nil
	}
	if r.Pull == step.PullNever {
		return nil, fmt.Errorf("%w %q in containerd's namespace %q, and --pull never forbids fetching it; pipex-image makes or imports one", image.ErrMissing, r.Ref, r.containerd.Namespace)
	}
	return r.pull(ctx, full)
}

// open unpacks an image if needed, and reads its configuration.
func (r *resolver) open(ctx context.Context, record images.Image) (*Image, error) {
	img, err := image.Open(ctx, r.containerd, record, r.Platform)
	if errors.Is(err, image.ErrPacked) {
		err = r.unpack(ctx, client.NewImageWithPlatform(r.client, record, r.platform))
	}
	return img, err
}

func (r *resolver) unpack(ctx context.Context, img client.Image) error {
	ctx, part := trace.Start(ctx, "image unpack", img.Name())
	defer part.End()
	ctx, done, err := r.containerd.LeaseFetch(ctx)
	if err != nil {
		return err
	}
	defer done()
	return img.Unpack(ctx, r.containerd.Snapshotter)
}
