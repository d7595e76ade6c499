package test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// port NAME: $NAME becomes a port of loopback that was free a moment ago.
func port(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: port NAME")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	defer l.Close()
	_, number, err := net.SplitHostPort(l.Addr().String())
	ts.Check(err)
	ts.Setenv(args[0], number)
}

// registry NAME DIR: a registry on loopback that serves the image in DIR, an OCI
// image layout, as $REGISTRY/NAME, over plain HTTP as the OCI distribution
// specification has it, until the script ends. It writes what it is asked for
// to DIR/requests.
func registry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: registry NAME DIR")
	}
	dir := ts.MkAbs(args[1])
	var index struct {
		Manifests []struct{ MediaType, Digest string }
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(filepath.Join(dir, "index.json"))), &index))
	if len(index.Manifests) != 1 {
		ts.Fatalf("%s holds %d images, want one", dir, len(index.Manifests))
	}
	image := index.Manifests[0]
	log, err := os.Create(filepath.Join(dir, "requests"))
	ts.Check(err)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(log, r.Method, r.URL.Path)
		digest := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		if strings.HasPrefix(r.URL.Path, "/v2/"+args[0]+"/manifests/") && (digest == image.Digest || !strings.HasPrefix(digest, "sha256:")) {
			digest = image.Digest
			w.Header().Set("Content-Type", image.MediaType)
		}
		data, err := os.ReadFile(filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(digest, "sha256:")))
		if err != nil || !strings.HasPrefix(r.URL.Path, "/v2/"+args[0]+"/") {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Docker-Content-Digest", digest)
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		if r.Method == http.MethodGet {
			w.Write(data)
		}
	}))
	ts.Defer(func() {
		server.Close()
		log.Close()
	})
	ts.Setenv("REGISTRY", strings.TrimPrefix(server.URL, "http://"))
}
