package prepare

import (
	"context"
	"fmt"
	"path/filepath"

	"pipex/lib/internal/trace"
	"pipex/lib/name"
	"pipex/lib/progress"
	"pipex/lib/run"
	"pipex/lib/step"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

// pin resolves the symbolic links of each host path and computes its digest.
func (d *decision) pin(ctx context.Context, list []step.Mount) ([]step.PinnedMount, error) {
	var mounts []step.PinnedMount
	for _, m := range list {
		real, err := filepath.EvalSymlinks(m.Host)
		if err != nil {
			return nil, fmt.Errorf("cannot mount %q: %w", m.Host, name.Reason(err))
		}
		digest, err := d.digest(ctx, real)
		if err != nil {
			return nil, fmt.Errorf("cannot mount %q: %w", m.Host, err)
		}
		mounts = append(mounts, step.PinnedMount{HostPath: real, ContainerPath: m.Path, Digest: digest})
	}
	return mounts, nil
}

// digest returns the digest of a host path's content. It reads the content into d, unless a digest is
// all that is wanted and is known. One path has one content, though it is mounted twice.
func (d *decision) digest(ctx context.Context, path string) (string, error) {
	content := d.contents[path]
	if content == nil && d.digests {
		digest, ok := d.unread[path]
		if !ok {
			digest, ok = unchanged(ctx, d.Place, d.ws, path)
		}
		if ok {
			d.unread[path] = digest
			return digest, nil
		}
	}
	if content == nil {
		var err error
		stamps := new(tree.Stamps)
		if content, err = Hash(ctx, d.Place, d.ws, path, tree.Stamped(stamps)); err != nil {
			return "", err
		}
		d.contents[path], d.seen[path] = content, stamps
	}
	digest := content.Digest()
	d.trees[digest] = content
	return digest, nil
}

// Digest returns the digest of what Hash returns, and does not read what has not changed since Hash or
// Digest was last called.
func Digest(ctx context.Context, p run.Place, ws *workspace.Workspace, path string) (string, error) {
	if digest, ok := unchanged(ctx, p, ws, path); ok {
		return digest, nil
	}
	content, err := Hash(ctx, p, ws, path)
	if err != nil {
		return "", err
	}
	return content.Digest(), nil
}

func unchanged(ctx context.Context, p run.Place, ws *workspace.Workspace, path string) (string, bool) {
	if ws == nil {
		return "", false
	}
	ctx, part := trace.Start(ctx, "look for changes in", path)
	defer part.End()
	return ws.Unchanged(ctx, path, tree.RecordSpecial(), p.Own())
}

// Hash returns the content of a host path as prepare records it for a mount. It uses the
// workspace's hash cache unless ws is nil. It leaves out what pipex itself keeps below
// that path; see [run.Place.Own].
func Hash(ctx context.Context, p run.Place, ws *workspace.Workspace, path string, options ...tree.Option) (*tree.Tree, error) {
	ctx, part := trace.Start(ctx, "hash", path)
	defer part.End()
	defer progress.Begin("hashing", "file").End()
	options = append(options, tree.RecordSpecial(), p.Own())
	if ws == nil {
		return tree.Scan(ctx, path, options...)
	}
	return ws.Hash(ctx, path, options...)
}
