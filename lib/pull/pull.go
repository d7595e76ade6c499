package pull

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	client "github.com/containerd/containerd"
	"github.com/containerd/containerd/content"
	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/containerd/images"
	"github.com/containerd/containerd/remotes"
	"github.com/containerd/containerd/remotes/docker"
	"github.com/containerd/containerd/remotes/docker/config"
	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"pipex/lib/internal/image"
	"pipex/lib/internal/trace"
)

// pull fetches an image from its registry. A lease protects what is fetched until the image
// has a name and is unpacked. The lease expires if this process dies.
func (r *resolver) pull(ctx context.Context, full string) (*images.Image, error) {
	ctx, part := trace.Start(ctx, "image pull", full)
	defer part.End()
	ctx, done, err := r.containerd.LeaseFetch(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	registry := docker.NewResolver(docker.ResolverOptions{Hosts: r.hosts(ctx)})
	watch := r.watch(ctx)
	img, err := r.client.Pull(ctx, full,
		client.WithPullUnpack,
		client.WithPullSnapshotter(r.containerd.Snapshotter),
		client.WithPlatformMatcher(r.platform),
		client.WithImageHandlerWrapper(watch.wrap),
		client.WithResolver(registry))
	watch.end(err == nil)
	if errdefs.IsNotFound(err) {
		if has := r.published(ctx, registry, full); has != "" {
			return nil, fmt.Errorf("%w %q for platform %s; its registry has it for %s", image.ErrMissing, r.Ref, r.wanted(), has)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w %q in containerd's namespace %q, and it cannot be pulled: %w; pipex-image makes or imports one", image.ErrMissing, r.Ref, r.containerd.Namespace, err)
	}
	r.pulled = true
	record := img.Metadata()
	return &record, nil
}

// published lists the platforms for which a registry has an image that was just fetched in
// vain: its index is here. It returns "" if there is no such index.
func (r *resolver) published(ctx context.Context, registry remotes.Resolver, full string) string {
	_, target, err := registry.Resolve(ctx, full)
	if err != nil || !images.IsIndexType(target.MediaType) {
		return ""
	}
	list, err := images.Platforms(ctx, r.client.ContentStore(), target)
	if err != nil {
		return ""
	}
	return format(list)
}

// wanted returns the platform that is looked for.
func (r *resolver) wanted() string {
	if r.Platform != "" {
		return r.Platform
	}
	return platforms.Format(platforms.DefaultSpec())
}

// available lists the platforms for which the image is here.
func (r *resolver) available(ctx context.Context, record images.Image) string {
	list, err := images.Platforms(ctx, r.client.ContentStore(), record.Target)
	if err != nil || len(list) == 0 {
		return "none"
	}
	return format(list)
}

func format(list []ocispec.Platform) string {
	var texts []string
	for _, p := range list {
		texts = append(texts, platforms.Format(p))
	}
	return strings.Join(texts, ", ")
}

// hosts returns the address of a registry: from a hosts.toml file in HostsDir, else its name,
// with plain HTTP if that is a loopback address. Credentials come from docker's
// configuration.
func (r *resolver) hosts(ctx context.Context) docker.RegistryHosts {
	opt := config.HostOptions{
		Credentials: func(host string) (string, string, error) { return credential(ctx, host) },
	}
	if r.HostsDir != "" {
		opt.HostDir = config.HostDirFromRoot(r.HostsDir)
	}
	return config.ConfigureHosts(ctx, opt)
}

// credential returns what `docker login` has stored for a registry: a user name and a
// password, or an empty name and a token.
func credential(ctx context.Context, host string) (user, secret string, err error) {
	store, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
	if err != nil {
		return "", "", fmt.Errorf("cannot read docker's configuration: %w", err)
	}
	c, err := store.Get(ctx, credentials.ServerAddressFromHostname(host))
	if err != nil {
		return "", "", fmt.Errorf("cannot get docker's credentials for %s: %w", host, err)
	}
	if c.RefreshToken != "" {
		return "", c.RefreshToken, nil
	}
	return c.Username, c.Password, nil
}

// watchPause is the time between two reports of progress.
const watchPause = 200 * time.Millisecond

// watcher reports the progress of a pull.
type watcher struct {
	report func(image.Progress)
	store  content.Store
	ref    string
	ended  chan struct{}
	told   sync.WaitGroup
	mu     sync.Mutex
	layers map[string]ocispec.Descriptor // by the name of containerd's writer for each
	done   map[string]bool
}

func (r *resolver) watch(ctx context.Context) *watcher {
	w := &watcher{
		report: r.Progress, store: r.client.ContentStore(), ref: r.Ref, ended: make(chan struct{}),
		layers: map[string]ocispec.Descriptor{}, done: map[string]bool{},
	}
	if w.report == nil {
		w.report = func(image.Progress) {}
	}
	w.told.Go(func() {
		w.report(image.Progress{Ref: r.Ref})
		for {
			select {
			case <-w.ended:
				return
			case <-time.After(watchPause):
				w.report(w.look(ctx))
			}
		}
	})
	return w
}

// wrap returns a handler that also collects the layers of the image.
func (w *watcher) wrap(h images.Handler) images.Handler {
	return images.HandlerFunc(func(ctx context.Context, desc ocispec.Descriptor) ([]ocispec.Descriptor, error) {
		children, err := h.Handle(ctx, desc)
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, child := range children {
			if images.IsLayerType(child.MediaType) {
				w.layers[remotes.MakeRefKey(ctx, child)] = child
			}
		}
		return children, err
	})
}

func (w *watcher) look(ctx context.Context) image.Progress {
	active := map[string]int64{}
	statuses, _ := w.store.ListStatuses(ctx)
	for _, s := range statuses {
		active[s.Ref] = s.Offset
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	p := image.Progress{Ref: w.ref, Layers: len(w.layers)}
	for key, desc := range w.layers {
		if !w.done[key] {
			_, err := w.store.Info(ctx, desc.Digest)
			w.done[key] = err == nil
		}
		p.Total += desc.Size
		if w.done[key] {
			p.LayersDone++
			p.Bytes += desc.Size
		} else {
			p.Bytes += active[key]
		}
	}
	return p
}

func (w *watcher) end(whole bool) {
	close(w.ended)
	w.told.Wait()
	p := image.Progress{Ref: w.ref, Layers: len(w.layers), Done: true, Failed: !whole}
	for _, desc := range w.layers {
		p.Total += desc.Size
	}
	if whole {
		p.LayersDone, p.Bytes = p.Layers, p.Total
	}
	w.report(p)
}
