package workspace

import (
	"context"
	"fmt"
	"os"

	"pipex/lib/name"
	"pipex/lib/tree"
)

// CachePath is where the cache is kept; it need not exist.
func (ws *Workspace) CachePath(cache string) (string, error) {
	if err := name.Check("cache", cache); err != nil {
		return "", err
	}
	return ws.path(cachesDir, cache), nil
}

// PrepareCache makes the cache if it does not exist and returns its path.
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

// Caches lists the caches by name.
func (ws *Workspace) Caches() ([]string, error) { return subdirectories(ws.path(cachesDir)) }

// Hash returns the content of a host directory or file. What it learns is kept
// in .pipex, so that hashing it again reads only what has changed; failing to
// keep it is no error.
func (ws *Workspace) Hash(ctx context.Context, path string, options ...tree.Option) (*tree.Tree, error) {
	if err := ws.ensure(private + "/hashes"); err != nil {
		return tree.Scan(ctx, path, options...)
	}
	known := tree.OpenCache(ws.path(private, "hashes"), path)
	content, err := known.Scan(ctx, options...)
	if err != nil {
		return nil, err
	}
	known.Save()
	return content, nil
}
