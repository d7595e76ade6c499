package tree

import (
	"context"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The Go sources are a directory of ordinary shape that every developer has.
func source(b *testing.B) string {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		b.Skip(err)
	}
	dir, err := filepath.EvalSymlinks(filepath.Join(strings.TrimSpace(string(root)), "src"))
	if err != nil {
		b.Skip(err)
	}
	return dir
}

func BenchmarkScan(b *testing.B) {
	dir := source(b)
	for b.Loop() {
		t, err := Scan(context.Background(), dir)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(t.Bytes())
	}
}

func BenchmarkScanCached(b *testing.B) {
	dir, caches := source(b), b.TempDir()
	scan := func() {
		c := OpenCache(caches, dir)
		c.now = func() time.Time { return time.Now().Add(time.Hour) } // sources unpacked just now count
		if _, err := c.Scan(context.Background()); err != nil {
			b.Fatal(err)
		}
		if err := c.Save(); err != nil {
			b.Fatal(err)
		}
	}
	scan()
	for b.Loop() {
		scan()
	}
}

func BenchmarkDigest(b *testing.B) {
	t, err := Scan(context.Background(), source(b))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		t.Digest()
	}
}

func BenchmarkManifest(b *testing.B) {
	t, err := Scan(context.Background(), source(b))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := t.WriteManifest(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
