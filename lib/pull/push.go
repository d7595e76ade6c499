package pull

import (
	"context"
	"fmt"

	client "github.com/containerd/containerd"
	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/containerd/namespaces"
	"github.com/containerd/containerd/remotes/docker"
	"github.com/containerd/log"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/endpoint"
	"pipex/lib/internal/image"
	"pipex/lib/internal/trace"
	"pipex/lib/progress"
)

// Push sends an image to the registry that to names, and gives it that name here, too, so that a step can ask for
// it by that name on any machine. It returns the whole name and the digest. The error wraps [image.ErrMissing] if there is no such image.
func (opt Options) Push(ctx context.Context, at endpoint.Containerd, ref, to string) (full, digest string, err error) {
	ctx, part := trace.Start(ctx, "image push", to)
	defer part.End()
	defer progress.Begin("pushing "+to, "").End()
	ctx = log.WithLogger(ctx, silent)
	candidates, err := names(ref)
	if err != nil {
		return "", "", err
	}
	targets, err := names(to)
	if err != nil {
		return "", "", err
	}
	full = targets[len(targets)-1]
	c, err := containerd.Connect(ctx, at)
	if err != nil {
		return "", "", err
	}
	defer c.Close()
	api, err := client.NewWithConn(c.Conn)
	if err != nil {
		return "", "", err
	}
	ctx = namespaces.WithNamespace(ctx, c.Namespace)
	record, err := image.Find(ctx, c, candidates)
	if err == nil && record == nil {
		err = fmt.Errorf("%w %q in containerd's namespace %q", image.ErrMissing, ref, c.Namespace)
	}
	if err != nil {
		return "", "", err
	}
	r := &resolver{Options: opt}
	if err := api.Push(ctx, full, record.Target, client.WithResolver(docker.NewResolver(docker.ResolverOptions{Hosts: r.hosts(ctx)}))); err != nil {
		return "", "", fmt.Errorf("cannot push image %q to %q: %w", ref, full, err)
	}
	named := *record
	named.Name, named.Labels = full, nil
	if _, err = api.ImageService().Create(ctx, named); errdefs.IsAlreadyExists(err) {
		_, err = api.ImageService().Update(ctx, named)
	}
	if err != nil {
		err = fmt.Errorf("cannot give image %q the name %q: %w", ref, full, err)
	}
	return full, record.Target.Digest.String(), err
}
