// Package image resolves the name of an image to a digest, unpacks its layers in containerd,
// and reads its configuration. An image that is missing is adopted from another namespace
// of the same containerd, or pulled.
package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	client "github.com/containerd/containerd"
	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/containerd/containerd/content"
	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/containerd/images"
	"github.com/containerd/containerd/namespaces"
	"github.com/containerd/log"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sirupsen/logrus"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/trace"
	"pipex/lib/name"
	"pipex/lib/step"
)

// ErrMissing says that containerd does not have an image and it could not be fetched.
var ErrMissing = errors.New("no such image")

// adoptedFrom is the label of an adopted image; its value is the namespace of origin.
const adoptedFrom = "pipex.adopted-from"

// Options say how to resolve an image.
type Options struct {
	Pull step.Pull
	// Platform is OS/ARCH[/VARIANT]; empty for this machine's platform.
	Platform string
	// HostsDir is the directory of containerd's hosts.toml files, with one directory per
	// registry; empty for none.
	HostsDir string
	// Progress is called while an image is pulled; it may be nil.
	Progress func(Progress)
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
	client     *client.Client
	containerd *containerd.Client
	here       string
	// snapshotter is the snapshotter that unpacks layers.
	snapshotter string
	platform    platforms.MatchComparer
	pulled      bool // by this call
}

// Resolve finds the image ref, fetches it as opt.Pull says, and unpacks it. Afterwards only
// its name protects it from garbage collection, so lease its Digest. The error wraps
// [ErrMissing] if the image is not there and cannot be fetched.
func Resolve(ctx context.Context, c *containerd.Client, ref string, opt Options) (*Image, error) {
	ctx, part := trace.Start(ctx, "image resolve", ref)
	defer part.End()
	ctx = log.WithLogger(ctx, silent) // containerd's packages log what their errors say anyway
	api, err := client.NewWithConn(c.Conn)
	if err != nil {
		return nil, err
	}
	r := &resolver{Options: opt, client: api, containerd: c, here: c.Namespace, snapshotter: c.Snapshotter, platform: platforms.Default()}
	if opt.Platform != "" {
		p, err := platforms.Parse(opt.Platform)
		if err != nil {
			return nil, name.Usage("invalid platform %q: OS/ARCH[/VARIANT], such as linux/arm64", opt.Platform)
		}
		r.platform = platforms.OnlyStrict(p) // and not one that this one can run, too
	}
	ctx = namespaces.WithNamespace(ctx, c.Namespace)
	record, err := r.find(ctx, ref, opt.Pull)
	if err != nil {
		return nil, err
	}
	img, err := r.open(ctx, *record)
	if errdefs.IsNotFound(err) && opt.Pull == step.PullMissing && !r.pulled {
		// The image is here only for other platforms, or is incomplete.
		if img, pullErr := r.again(ctx, ref); pullErr == nil {
			return img, nil
		}
	}
	if errdefs.IsNotFound(err) {
		return nil, fmt.Errorf("%w %q for platform %s in containerd's namespace %q, where it has %s", ErrMissing, ref, r.wanted(), r.here, r.available(ctx, *record))
	}
	if err != nil {
		return nil, fmt.Errorf("cannot use image %q: %w", ref, err)
	}
	return img, nil
}

// names returns the names that an image may have in containerd: the reference as given, with
// the tag latest, and in docker's full form.
func names(ref string) ([]string, error) {
	list := []string{ref}
	if last := ref[strings.LastIndexByte(ref, '/')+1:]; !strings.ContainsAny(last, ":@") {
		list = append(list, ref+":latest")
	}
	full, err := reference.ParseDockerRef(ref)
	if err != nil {
		return nil, fmt.Errorf("invalid image reference %q: %w", ref, err)
	}
	if !slices.Contains(list, full.String()) {
		list = append(list, full.String())
	}
	return list, nil
}

// find returns the record of the image in our namespace. It adopts or pulls it if needed.
func (r *resolver) find(ctx context.Context, ref string, pull step.Pull) (*images.Image, error) {
	candidates, err := names(ref)
	if err != nil {
		return nil, err
	}
	if pull == step.PullAlways {
		return r.pull(ctx, ref, candidates[len(candidates)-1])
	}
	record, err := r.get(ctx, candidates)
	if err != nil {
		return nil, err
	}
	// Ask again for an adopted image: in the namespace of origin the name may refer to
	// another image by now.
	if record == nil || record.Labels[adoptedFrom] != "" {
		adopted, err := r.adopt(ctx, candidates, record)
		if err != nil {
			return nil, fmt.Errorf("cannot adopt image %q: %w", ref, err)
		}
		if adopted != nil {
			record = adopted
		}
	}
	if record != nil {
		return record, nil
	}
	if pull == step.PullNever {
		return nil, fmt.Errorf("%w %q in containerd's namespace %q, and --pull never forbids fetching it; pipex-image makes or imports one", ErrMissing, ref, r.here)
	}
	return r.pull(ctx, ref, candidates[len(candidates)-1])
}

// get returns the record of the first of the names that exists, or nil.
func (r *resolver) get(ctx context.Context, candidates []string) (*images.Image, error) {
	var filters []string
	for _, name := range candidates {
		filters = append(filters, "name=="+strconv.Quote(name))
	}
	records, err := r.client.ImageService().List(ctx, filters...)
	if err != nil {
		return nil, fmt.Errorf("cannot look up image %q: %w", candidates[0], err)
	}
	for _, name := range candidates {
		for i := range records {
			if records[i].Name == name {
				return &records[i], nil
			}
		}
	}
	return nil, nil
}

// open unpacks an image if needed, and reads its configuration.
func (r *resolver) open(ctx context.Context, record images.Image) (*Image, error) {
	store := &blobs{contentapi.NewContentClient(r.client.Conn()), map[digest.Digest][]byte{}}
	config, err := record.Config(ctx, store, r.platform)
	if err != nil {
		return nil, err
	}
	data, err := content.ReadBlob(ctx, store, config)
	if err != nil {
		return nil, err
	}
	var spec ocispec.Image
	if err := json.Unmarshal(data, &spec); err != nil {
		return nil, fmt.Errorf("its configuration is damaged: %w", err)
	}
	// containerd looks at the platforms of an index only. Without --platform, an image
	// that is for another one may run all the same, by an emulator.
	if r.Platform != "" && images.IsManifestType(record.Target.MediaType) && !r.platform.Match(spec.Platform) {
		return nil, fmt.Errorf("image for another platform: %w", errdefs.ErrNotFound)
	}
	chain := identity.ChainID(spec.RootFS.DiffIDs).String()
	_, err = r.client.SnapshotService(r.snapshotter).Stat(ctx, chain)
	if errdefs.IsNotFound(err) {
		err = r.unpack(ctx, client.NewImageWithPlatform(r.client, record, r.platform))
	}
	if err != nil {
		return nil, err
	}
	return &Image{
		Digest: record.Target.Digest.String(), ID: config.Digest.String(), ChainID: chain, Architecture: spec.Architecture,
		Entrypoint: spec.Config.Entrypoint, Cmd: spec.Config.Cmd, Env: spec.Config.Env,
		Cwd: spec.Config.WorkingDir, User: spec.Config.User,
	}, nil
}

func (r *resolver) unpack(ctx context.Context, img client.Image) error {
	ctx, part := trace.Start(ctx, "image unpack", img.Name())
	defer part.End()
	ctx, done, err := r.containerd.LeaseFetch(ctx)
	if err != nil {
		return err
	}
	defer done()
	return img.Unpack(ctx, r.snapshotter)
}
