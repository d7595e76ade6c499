package registry

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"pipex/lib/workspace"
)

// stream downloads a layer, from where an earlier fetch has stopped, checks its digest, and then has it read, decompressed.
func (r *Registry) stream(ctx context.Context, ws *workspace.Workspace, owner string, d ocispec.Descriptor, read func(io.Reader) error) error {
	f, err := ws.Part(owner, d.Digest.Encoded())
	if err != nil {
		return err
	}
	defer f.Close()
	if err := r.download(ctx, f, d); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	verifier := d.Digest.Verifier()
	if _, err := io.Copy(verifier, f); err != nil {
		return err
	}
	os.Remove(f.Name()) // it is of no use any more, whether it is right or wrong
	if !verifier.Verified() {
		return fmt.Errorf("a part of it is damaged: blob %s", d.Digest)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxWindow), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return err
	}
	defer z.Close()
	return read(z)
}

func (r *Registry) download(ctx context.Context, f *os.File, d ocispec.Descriptor) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	has := info.Size()
	if has > d.Size {
		has = 0
	}
	if has == d.Size {
		return nil
	}
	body, err := r.repo.Blobs().Fetch(ctx, d)
	if err != nil {
		return err
	}
	if seeker, ok := body.(io.Seeker); !ok {
		has = 0
	} else if has > 0 {
		if _, err := seeker.Seek(has, io.SeekStart); err != nil {
			return err
		}
	}
	w, end := watch(body)
	defer end()
	if err := f.Truncate(has); err != nil {
		return err
	}
	if _, err := f.Seek(has, io.SeekStart); err != nil {
		return err
	}
	n, err := io.Copy(f, io.LimitReader(w, d.Size-has))
	if err == nil && n < d.Size-has {
		err = io.ErrUnexpectedEOF
	}
	return err
}
