// Package registry moves committed runs between workspaces through an OCI registry, for machines that share no file
// system (OCI Distribution Specification 1.1).
//
// A run is a manifest with the artifact type [RunType]. Its layers are the artifacts, as a tar archive compressed with zstd;
// the list of them, as commit has written it; the record; and the logs. The same artifacts are always the same
// layer, so what a registry has is not sent again. A run has the tags run-ID and fingerprint-DIGEST. The
// runs that are pushed together are listed by an index, which is written last, under the tag that the caller
// names: who sees that has everything.
//
// Nothing that a registry sends is trusted: a fetched run is checked against its digests, its list and its
// fingerprint before it is committed. That a run is what its fingerprint says, a registry can claim; so
// use one that only those can write to whose results you would use.
package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/retry"

	"pipex/lib/name"
)

// The types of a run's manifest, of its layers, and of an index of runs.
const (
	RunType   = "application/vnd.pipex.run.v1"
	IndexType = "application/vnd.pipex.runs.v1"
	filesType = "application/vnd.pipex.artifacts.v1.tar+zstd"
	listType  = "application/vnd.pipex.artifacts.v1.mtree"
	metaType  = "application/vnd.pipex.meta.v1+json"
	outType   = "application/vnd.pipex.stdout.v1.zstd"
	errType   = "application/vnd.pipex.stderr.v1.zstd"
)

// The annotations of a run's manifest.
const (
	runKey  = "pipex.run"
	stepKey = "pipex.step"
	linkKey = "pipex.link" // in an index: the step that is linked to the run
)

// ErrNone says that a registry has no such runs.
var ErrNone = errors.New("the registry has no such runs")

// stall is how long a registry may send nothing.
const stall = time.Minute

// Registry is a repository of a registry.
type Registry struct {
	repo *remote.Repository
	tag  string
}

// Open names a repository, such as host/name or host/name:tag; the tag is latest by default. Credentials come from
// docker's configuration. A registry on loopback, or with plainHTTP any, is asked without TLS. It connects to nothing.
func Open(ref string, plainHTTP bool) (*Registry, error) {
	repo, err := remote.NewRepository(ref)
	if err != nil {
		return nil, name.Usage("%q is not HOST/NAME[:TAG]: %v", ref, err)
	}
	r := &Registry{repo: repo, tag: repo.Reference.Reference}
	if r.tag == "" {
		r.tag = "latest"
	}
	if strings.Contains(r.tag, ":") {
		return nil, name.Usage("%q has a digest; a tag is wanted", ref)
	}
	repo.PlainHTTP = plainHTTP || loopback(repo.Reference.Host())
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = stall
	client := &auth.Client{Client: &http.Client{Transport: retry.NewTransport(transport)}, Cache: auth.NewCache()}
	if store, err := credentials.NewStoreFromDocker(credentials.StoreOptions{}); err == nil {
		client.Credential = credentials.Credential(store)
	}
	repo.Client = client
	return r, nil
}

func loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// explain says what an error of the registry means.
func (r *Registry) explain(doing string, err error) error {
	if errors.Is(err, errdef.ErrNotFound) {
		err = ErrNone
	}
	return fmt.Errorf("cannot %s %s/%s:%s: %w", doing, r.repo.Reference.Registry, r.repo.Reference.Repository, r.tag, err)
}

// find resolves a tag.
func (r *Registry) find(ctx context.Context, tag string) (ocispec.Descriptor, error) {
	ctx, cancel := context.WithTimeout(ctx, stall)
	defer cancel()
	return r.repo.Resolve(ctx, tag)
}

// watched is a stream that is closed when nothing has come for a while.
type watched struct {
	io.Reader
	beat    *time.Timer
	stalled atomic.Bool
}

// watch returns body as a stream with a bound on silence; end stops the watch.
func watch(body io.ReadCloser) (w *watched, end func()) {
	w = &watched{Reader: body}
	w.beat = time.AfterFunc(stall, func() {
		w.stalled.Store(true)
		body.Close()
	})
	return w, func() {
		w.beat.Stop()
		body.Close()
	}
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if w.stalled.Load() {
		return n, fmt.Errorf("nothing came for %s", stall)
	}
	w.beat.Reset(stall)
	return n, err
}
