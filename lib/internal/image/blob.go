package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/containerd/containerd/content"
	"github.com/containerd/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxBlob is the greatest size of an index, a manifest or a configuration, in bytes.
const maxBlob = 8 << 20

// blobs reads the small blobs that describe an image, and caches them. containerd's client
// needs two calls per blob, since it asks for the size first, and reads the configuration
// twice. Each call delays the start of a container.
type blobs struct {
	client contentapi.ContentClient
	known  map[digest.Digest][]byte
}

// ReaderAt implements [content.Provider].
func (b *blobs) ReaderAt(ctx context.Context, desc ocispec.Descriptor) (content.ReaderAt, error) {
	data, ok := b.known[desc.Digest]
	if !ok {
		var err error
		if data, err = b.read(ctx, desc); err != nil {
			return nil, fmt.Errorf("cannot read blob %s: %w", desc.Digest, err)
		}
		b.known[desc.Digest] = data
	}
	return blob{bytes.NewReader(data)}, nil
}

func (b *blobs) read(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	if desc.Size > maxBlob {
		return nil, fmt.Errorf("a description of an image cannot have %d bytes", desc.Size)
	}
	stream, err := b.client.Read(ctx, &contentapi.ReadContentRequest{Digest: desc.Digest.String()})
	if err != nil {
		return nil, errdefs.FromGRPC(err)
	}
	var data []byte
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return data, nil
		}
		if err != nil {
			return nil, errdefs.FromGRPC(err)
		}
		if data = append(data, part.Data...); len(data) > maxBlob {
			return nil, errors.New("it is too large to describe an image")
		}
	}
}

type blob struct{ *bytes.Reader }

func (blob) Close() error { return nil }
