package pull

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/containerd/images"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// What is no reference is an error that quotes it, in one line, and never a name.
func TestNamesRefuse(t *testing.T) {
	for _, ref := range []string{"", "A", "a b", "-", "a:", "a@", ":", "/a", "a/", "../a", "a//b", "a\n", "\x00", "\xff", "http://a/b", "a@sha256:1", strings.Repeat("a", 300), strings.Repeat("a", 64)} {
		list, err := names(ref)
		if err == nil || list != nil || !strings.Contains(err.Error(), "invalid image reference") || strings.ContainsAny(err.Error(), "\n\x00") {
			t.Errorf("%q: %q, %v", ref, list, err)
		}
	}
}

// configure makes a configuration of docker's with that text.
func configure(t *testing.T, text string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	if text == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A registry gets what `docker login` has stored for it, and nobody else does.
func TestCredential(t *testing.T) {
	// The values are user:password and user:.
	configure(t, `{"auths": {
		"host.example": {"auth": "dXNlcjpwYXNzd29yZA=="},
		"host.example:5000": {"auth": "dXNlcjpwYXNzd29yZA==", "identitytoken": "token"},
		"https://index.docker.io/v1/": {"auth": "aHViOnBhc3N3b3Jk"}
	}}`)
	for host, want := range map[string][2]string{
		"host.example":         {"user", "password"},
		"host.example:5000":    {"", "token"},
		"registry-1.docker.io": {"hub", "password"},
		"other.example":        {},
		"sub.host.example":     {},
		"host.example:443":     {},
		"":                     {},
	} {
		user, secret, err := credential(t.Context(), host)
		if got := [2]string{user, secret}; got != want || err != nil {
			t.Errorf("%q: %q, %v; want %q", host, got, err, want)
		}
	}
}

// Without a configuration there are no credentials; one that is damaged, or whose
// program fails, is an error that names what it is about.
func TestCredentialWithoutOrDamaged(t *testing.T) {
	configure(t, "")
	if user, secret, err := credential(t.Context(), "host.example"); user != "" || secret != "" || err != nil {
		t.Errorf("%q, %q, %v", user, secret, err)
	}
	for text, says := range map[string]string{
		"{": "docker's configuration",
		`{"auths": {"host.example": {"auth": "%"}}}`: "host.example",
		`{"credsStore": "no-such-program"}`:          "host.example",
	} {
		configure(t, text)
		if user, secret, err := credential(t.Context(), "host.example"); err == nil || user+secret != "" || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %q, %q, %v", text, user, secret, err)
		}
	}
}

// A program of docker's keeps credentials: it is asked for the one registry, on its
// standard input.
func TestCredentialOfAProgram(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	script := "#!/bin/sh\ntest \"$1\" = get && host=$(cat) && echo \"{\\\"Username\\\":\\\"$host\\\",\\\"Secret\\\":\\\"s\\\"}\"\n"
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-ours"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	configure(t, `{"credHelpers": {"host.example": "ours"}}`)
	if user, secret, err := credential(t.Context(), "host.example"); user != "host.example" || secret != "s" || err != nil {
		t.Errorf("%q, %q, %v", user, secret, err)
	}
}

// layers is what an image of these descriptors has, as a pull finds them.
func layers(children ...ocispec.Descriptor) images.Handler {
	return images.HandlerFunc(func(context.Context, ocispec.Descriptor) ([]ocispec.Descriptor, error) { return children, nil })
}

// Only layers count, each once however often a pull meets it, and the last report has
// all of them if the pull came to its end.
func TestProgressAtTheEnd(t *testing.T) {
	layer := func(text string) ocispec.Descriptor {
		return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digest.FromString(text), Size: int64(len(text))}
	}
	config := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromString("c"), Size: 100}
	for whole, want := range map[bool]Progress{
		true:  {Ref: "a", Layers: 2, LayersDone: 2, Bytes: 5, Total: 5, Done: true},
		false: {Ref: "a", Layers: 2, Total: 5, Done: true, Failed: true},
	} {
		var last Progress
		w := &watcher{report: func(p Progress) { last = p }, ref: "a", ended: make(chan struct{}), layers: map[string]ocispec.Descriptor{}, done: map[string]bool{}}
		h := w.wrap(layers(config, layer("one"), layer("tw"), layer("one")))
		for range 2 {
			if children, err := h.Handle(t.Context(), ocispec.Descriptor{}); err != nil || len(children) != 4 {
				t.Errorf("%d children, %v", len(children), err)
			}
		}
		w.end(whole)
		if last != want {
			t.Errorf("%+v, want %+v", last, want)
		}
	}
}
