// Package images lists the images of containerd's namespace, says which runs use them, and
// removes those that none does. Package pull fetches and imports them.
//
// It takes no lock. What an open run needs of its image is protected by the run's lease, also when
// the image has no name any more.
package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/containerd/snapshots"
	"golang.org/x/sync/errgroup"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/endpoint"
	"pipex/lib/internal/image"
	"pipex/lib/run"
)

// Image is a name in containerd's namespace and what it stands for.
type Image struct {
	Name string
	// Digest is that of its manifest or index.
	Digest string
	// Size is the number of bytes of its blobs and of its layers as far as they are unpacked. What
	// several images share counts for each.
	Size int64
	// Updated is when the name was last given: by a pull, an import or an adoption.
	Updated time.Time
	// Uses are the runs that use it. See [Uses].
	Uses []Use
}

// Age is the time since the name was given.
func (i Image) Age() time.Duration { return time.Since(i.Updated) }

// Answers returns an error unless a containerd answers within a time.
func Answers(ctx context.Context, to endpoint.Containerd, within time.Duration) error {
	to.Patience = within
	c, err := containerd.Connect(ctx, to)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err = image.List(ctx, c); err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w at %q: it does not answer: %w; see pipex-containerd status", endpoint.ErrUnreachable, to.Socket(), err)
	}
	return err
}

// List returns the images of the namespace in the order of their names, with their sizes and with
// those uses that are given.
func List(ctx context.Context, place run.Place, uses []Use) ([]Image, error) {
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
	for i := range all {
		all[i].Size = sizes.of("content/"+all[i].Digest, map[string]bool{})
	}
	return all, nil
}

// Names is List without sizes and uses.
func Names(ctx context.Context, place run.Place) ([]Image, error) {
	c, err := containerd.Connect(ctx, place.Containerd)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return list(ctx, c, nil)
}

// list is List without sizes.
func list(ctx context.Context, c *containerd.Client, uses []Use) (images, error) {
	found, err := imagesapi.NewImagesClient(c.Conn).List(c.Context(ctx), &imagesapi.ListImagesRequest{})
	if err != nil {
		return nil, fmt.Errorf("cannot list images: %w", errdefs.FromGRPC(err))
	}
	var all images
	for _, i := range found.Images {
		all = append(all, Image{Name: i.Name, Digest: i.Target.Digest, Updated: i.UpdatedAt.AsTime()})
	}
	slices.SortFunc(all, func(a, b Image) int { return strings.Compare(a.Name, b.Name) })
	byDigest := map[string][]int{}
	for i, img := range all {
		byDigest[img.Digest] = append(byDigest[img.Digest], i)
	}
	for _, u := range uses {
		// What the name refers to now is what the step runs in next time. The run itself has
		// what it referred to when it was prepared, which may have other names by now.
		named, ok := all.named(u.ref)
		if ok {
			all[named].Uses = append(all[named].Uses, u)
		}
		if ok && all[named].Digest == u.digest {
			continue
		}
		for _, i := range byDigest[u.digest] {
			all[i].Uses = append(all[i].Uses, u)
		}
	}
	return all, nil
}

// named returns the index of the image that a reference means.
func (all images) named(ref string) (int, bool) {
	names, err := image.Names(ref)
	if err != nil {
		return 0, false
	}
	for _, name := range names {
		i, ok := slices.BinarySearchFunc(all, name, func(i Image, name string) int { return strings.Compare(i.Name, name) })
		if ok {
			return i, true
		}
	}
	return 0, false
}

// images are sorted by their names.
type images []Image

// find returns the image that a reference means, as for a step; or one with its digest after "@". It
// returns nil if there is none.
func (all images) find(ref string) (*Image, error) {
	if _, err := image.Names(ref); err != nil {
		return nil, err
	}
	if i, ok := all.named(ref); ok {
		return &all[i], nil
	}
	if name, digest, ok := strings.Cut(ref, "@"); ok {
		if i, ok := all.named(name); ok && all[i].Digest == digest {
			return &all[i], nil
		}
	}
	return nil, nil
}

// sizes are the sizes of blobs and snapshots, and what each refers to.
type sizes struct {
	bytes map[string]int64
	refs  map[string][]string
}

// of returns the size of an object and of everything that it refers to and that was not seen.
func (s sizes) of(object string, seen map[string]bool) (total int64) {
	for todo := []string{object}; len(todo) > 0; {
		object, todo = todo[len(todo)-1], todo[:len(todo)-1]
		if !seen[object] {
			seen[object] = true
			total += s.bytes[object]
			todo = append(todo, s.refs[object]...)
		}
	}
	return total
}

// containerd's garbage collector finds by these labels what a blob refers to.
const (
	refContent  = "containerd.io/gc.ref.content"
	refSnapshot = "containerd.io/gc.ref.snapshot."
)

// measure asks for the sizes of all blobs and snapshots. It reads no blob.
func measure(ctx context.Context, c *containerd.Client) (sizes, error) {
	ctx = c.Context(ctx)
	s := sizes{map[string]int64{}, map[string][]string{}}
	stream, err := contentapi.NewContentClient(c.Conn).List(ctx, &contentapi.ListContentRequest{})
	for err == nil {
		var part *contentapi.ListContentResponse
		if part, err = stream.Recv(); err != nil {
			break
		}
		for _, blob := range part.Info {
			key := "content/" + blob.Digest
			s.bytes[key] = blob.Size
			for label, value := range blob.Labels {
				if label == refSnapshot+c.Snapshotter {
					s.refs[key] = append(s.refs[key], "snapshot/"+value)
				} else if label == refContent || strings.HasPrefix(label, refContent+".") || strings.HasPrefix(label, refContent+"/") {
					s.refs[key] = append(s.refs[key], "content/"+value)
				}
			}
		}
	}
	if !errors.Is(err, io.EOF) {
		return s, errdefs.FromGRPC(err)
	}
	var names []string
	store := c.SnapshotService(c.Snapshotter)
	err = store.Walk(ctx, func(_ context.Context, info snapshots.Info) error {
		if info.Kind == snapshots.KindCommitted {
			names = append(names, info.Name)
			if info.Parent != "" {
				s.refs["snapshot/"+info.Name] = []string{"snapshot/" + info.Parent}
			}
		}
		return nil
	})
	if err != nil {
		return s, err
	}
	bytes := make([]int64, len(names))
	g, inside := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i, name := range names {
		g.Go(func() error {
			usage, err := store.Usage(inside, name)
			if bytes[i] = usage.Size; errdefs.IsNotFound(err) {
				return nil // removed meanwhile
			}
			return err
		})
	}
	err = g.Wait()
	for i, name := range names {
		s.bytes["snapshot/"+name] = bytes[i]
	}
	return s, err
}
