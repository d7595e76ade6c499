package image

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// An image is found under the name that is given first, and last under the one that
// docker would give it; that one is pulled.
func TestNames(t *testing.T) {
	const sum = "@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for ref, want := range map[string][]string{
		"busybox":             {"busybox", "busybox:latest", "localhost/busybox:latest", "docker.io/library/busybox:latest"},
		"busybox:1":           {"busybox:1", "localhost/busybox:1", "docker.io/library/busybox:1"},
		"busybox" + sum:       {"busybox" + sum, "docker.io/library/busybox" + sum},
		"a/b":                 {"a/b", "a/b:latest", "localhost/a/b:latest", "docker.io/a/b:latest"},
		"host.example/a":      {"host.example/a", "host.example/a:latest"},
		"host.example:5000/a": {"host.example:5000/a", "host.example:5000/a:latest"},
		"localhost/a:b":       {"localhost/a:b"},
		"docker.io/a/b:c":     {"docker.io/a/b:c"},
		"a:b" + sum:           {"a:b" + sum, "docker.io/library/a" + sum},
	} {
		if got, err := Names(ref); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v; want %q", ref, got, err, want)
		}
	}
}

// The full form of a reference is docker's, and what cannot be a reference is an error that quotes
// it, in one line.
func FuzzNames(f *testing.F) {
	const sum = "@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for _, ref := range []string{"busybox", "a:b", "a/b:c", "a" + sum, "a:b" + sum, "localhost/a", "Host/a", "index.docker.io/a", "docker.io/a", "host:5000/a/b:c", "[::1]:5/a", "library/a", "a.b/c", "localhost:1/a" + sum, "", "-", "a b", "\x00"} {
		f.Add(ref)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		list, err := Names(ref)
		if err != nil && (list != nil || !strings.Contains(err.Error(), "invalid image reference") || strings.ContainsAny(err.Error(), "\n\x00")) {
			t.Errorf("%q: %q, %v", ref, list, err)
		}
		full, invalid := reference.ParseDockerRef(ref)
		if invalid != nil {
			return
		}
		if err != nil || list[len(list)-1] != full.String() {
			t.Fatalf("%q: %q, %v; want %q", ref, list, err, full)
		}
		if got, want := Pinned(ref, sum[1:]), reference.TrimNamed(full).String()+sum; got != want {
			t.Errorf("%q: pinned %q, want %q", ref, got, want)
		}
	})
}

// A blob that is known is not asked for, and one that is too large for what it should
// be is not either: neither has a client here.
func TestBlobsAreReadOnceAndBounded(t *testing.T) {
	known := []byte(`{"a":1}`)
	b := &blobs{known: map[digest.Digest][]byte{digest.FromBytes(known): known}}
	r, err := b.ReaderAt(t.Context(), ocispec.Descriptor{Digest: digest.FromBytes(known), Size: int64(len(known))})
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, r.Size())
	if _, err := r.ReadAt(got, 0); err != nil || !json.Valid(got) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := b.ReaderAt(t.Context(), ocispec.Descriptor{Digest: "sha256:1", Size: maxBlob + 1}); err == nil || !strings.Contains(err.Error(), "sha256:1") {
		t.Errorf("%v", err)
	}
}
