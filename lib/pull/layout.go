package pull

import (
	"archive/tar"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// Open opens what Import reads: a file, a pipe, or a directory with an OCI layout, or with what docker
// save or podman save write, of which it makes a tar archive as it is read. The size is that of a regular file,
// else 0.
func Open(path string) (_ io.ReadCloser, size int64, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, errors.New("no such file")
	}
	if err != nil {
		return nil, 0, err
	}
	if !info.IsDir() {
		f, err := os.Open(path)
		if info.Mode().IsRegular() {
			size = info.Size()
		}
		return f, size, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, 0, err
	}
	if !isImageDirectory(root) {
		root.Close()
		return nil, 0, errors.New("the directory is no OCI layout: it has neither oci-layout nor manifest.json; pipex-image dir makes an image of a root file system")
	}
	out, in := io.Pipe()
	go func() {
		defer root.Close()
		if info, err := root.Lstat(transportFile); err == nil && info.Mode().IsRegular() {
			in.CloseWithError(packTransport(in, root))
		} else {
			in.CloseWithError(pack(in, root))
		}
	}()
	return out, 0, nil
}

// transportFile marks a directory of containers/image's transport "dir", which podman save --format
// docker-dir writes: manifest.json, and blobs that are called by their digests.
const transportFile = "version"

// packTransport writes such a directory as a tar archive of an OCI layout.
func packTransport(to io.Writer, root *os.Root) error {
	f, err := root.OpenFile("manifest.json", os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	manifest, err := io.ReadAll(io.LimitReader(f, maxDescription))
	if err != nil {
		return err
	}
	var m struct{ MediaType string }
	if err := json.Unmarshal(manifest, &m); err != nil {
		return fmt.Errorf("manifest.json is damaged: %w", err)
	}
	desc := ocispec.Descriptor{MediaType: cmp.Or(m.MediaType, ocispec.MediaTypeImageManifest), Digest: digest.FromBytes(manifest), Size: int64(len(manifest))}
	index, err := json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []ocispec.Descriptor{desc}})
	if err != nil {
		return err
	}
	w := tar.NewWriter(to)
	for _, file := range []struct {
		name string
		data []byte
	}{
		{ocispec.ImageLayoutFile, []byte(`{"imageLayoutVersion": "` + ocispec.ImageLayoutVersion + `"}`)},
		{ocispec.ImageIndexFile, index},
		{blobPath(desc.Digest.Encoded()), manifest},
	} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: file.name, Size: int64(len(file.data))}); err != nil {
			return err
		}
		if _, err := w.Write(file.data); err != nil {
			return err
		}
	}
	entries, err := fs.ReadDir(root.FS(), ".")
	for _, e := range entries {
		if err == nil && e.Type().IsRegular() && digest.SHA256.Validate(e.Name()) == nil {
			err = packFile(w, root, e.Name(), blobPath(e.Name()))
		}
	}
	return errors.Join(err, w.Close())
}

func blobPath(name string) string { return ocispec.ImageBlobsDir + "/sha256/" + name }

func isImageDirectory(root *os.Root) bool {
	for _, file := range []string{"oci-layout", "manifest.json"} {
		if info, err := root.Lstat(file); err == nil && info.Mode().IsRegular() {
			return true
		}
	}
	return false
}

// pack writes the regular files and the symbolic links of a directory as a tar archive.
func pack(to io.Writer, root *os.Root) error {
	w := tar.NewWriter(to)
	err := fs.WalkDir(root.FS(), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch {
		case entry.Type().IsRegular():
			return packFile(w, root, path, path)
		case entry.Type()&fs.ModeSymlink != 0:
			target, err := root.Readlink(path)
			if err != nil {
				return err
			}
			return w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: path, Linkname: target})
		}
		return nil
	})
	return errors.Join(err, w.Close())
}

func packFile(w *tar.Writer, root *os.Root, path, name string) error {
	f, err := root.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%q is no file any more", path)
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: info.Size()}); err != nil {
		return err
	}
	if n, err := io.Copy(w, io.LimitReader(f, info.Size())); err != nil {
		return err
	} else if n < info.Size() {
		return fmt.Errorf("%q became shorter while it was read", path)
	}
	return nil
}
