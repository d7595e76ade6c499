package workspace

import (
	"context"
	"fmt"
	"os"

	"pipex/lib/name"
	"pipex/lib/tree"
)

// CachePath returns the path of a cache, which need not exist.
func (ws *Workspace) CachePath(cache string) (string, error) {
	if err := name.Check("cache", cache); err != nil {
		return "", err
	}
	return ws.path(cachesDir, cache), nil
}

// PrepareCache creates the cache if it does not exist, and returns its path.
func (ws *Workspace) PrepareCache(cache string) (string, error) {
	path, err := ws.CachePath(cache)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(path, 0o777); err != nil {
		return "", fmt.Errorf("cannot prepare cache %q: %w", cache, err)
	}
	return path, nil
}

// Caches returns the names of the caches, sorted.
func (ws *Workspace) Caches() ([]string, error) { return subdirectories(ws.path(cachesDir), "cache") }

const hashesDir = private + "/hashes"

// Unchanged returns the digest of what Hash would return, if nothing has changed since Hash was
// last called. It reads no file and lists no directory; see [tree.Unchanged].
func (ws *Workspace) Unchanged(ctx context.Context, path string, options ...tree.Option) (digest string, ok bool) {
	return tree.Unchanged(ctx, ws.path(hashesDir), path, options...)
}

// Hash returns the content of a host directory or file. It keeps the hashes in
// .pipex/hashes, so that the next call reads only files that have changed. Errors
// in writing that cache are ignored: the next call then reads all files again.
func (ws *Workspace) Hash(ctx context.Context, path string, options ...tree.Option) (*tree.Tree, error) {
	if err := ws.ensure(hashesDir); err != nil {
		return tree.Scan(ctx, path, options...)
	}
	known := tree.OpenCache(ws.path(hashesDir), path)
	content, err := known.Scan(ctx, options...)
	if err != nil {
		return nil, err
	}
	known.Save()
	return content, nil
}
