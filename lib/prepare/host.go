package prepare

import (
	"context"
	"fmt"
	"path/filepath"

	"pipex/lib/internal/trace"
	"pipex/lib/name"
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
		content := d.contents[real] // one path has one content, though it is mounted twice
		if content == nil {
			stamps := new(tree.Stamps)
			if content, err = Hash(ctx, d.Place, d.ws, real, tree.Stamped(stamps)); err != nil {
				return nil, fmt.Errorf("cannot mount %q: %w", m.Host, err)
			}
			d.contents[real], d.seen[real] = content, stamps
		}
		digest := content.Digest()
		d.trees[digest] = content
		mounts = append(mounts, step.PinnedMount{HostPath: real, ContainerPath: m.Path, Digest: digest})
	}
	return mounts, nil
}

// Hash returns the content of a host path as prepare records it for a mount. It uses the
// workspace's hash cache unless ws is nil. It leaves out what pipex itself keeps below
// that path; see [run.Place.Own].
func Hash(ctx context.Context, p run.Place, ws *workspace.Workspace, path string, options ...tree.Option) (*tree.Tree, error) {
	ctx, part := trace.Start(ctx, "hash", path)
	defer part.End()
	options = append(options, tree.RecordSpecial(), p.Own())
	if ws == nil {
		return tree.Scan(ctx, path, options...)
	}
	return ws.Hash(ctx, path, options...)
}
