package prepare

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

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
		content, err := Hash(ctx, d.Place, d.ws, real)
		if err != nil {
			return nil, fmt.Errorf("cannot mount %q: %w", m.Host, err)
		}
		digest := content.Digest()
		d.trees[digest] = content
		mounts = append(mounts, step.PinnedMount{HostPath: real, ContainerPath: m.Path, Digest: digest})
	}
	return mounts, nil
}

// Hash returns the content of a host path as prepare records it for a mount. It uses the
// workspace's hash cache unless ws is nil. It leaves out what pipex itself keeps below
// that path, since that changes all the time: the workdir, and the directory of a
// containerd that pipex-containerd started.
func Hash(ctx context.Context, p run.Place, ws *workspace.Workspace, path string) (*tree.Tree, error) {
	defer trace.Region("hash %s", path)()
	options := []tree.Option{tree.RecordSpecial(), tree.Without(p.Workdir)}
	daemon := filepath.Dir(strings.TrimPrefix(p.Address, "unix://"))
	if _, err := os.Lstat(filepath.Join(daemon, daemonLock)); err == nil {
		options = append(options, tree.Without(daemon))
	}
	if ws == nil {
		return tree.Scan(ctx, path, options...)
	}
	return ws.Hash(ctx, path, options...)
}

// daemonLock is a file that marks the directories of pipex-containerd.
const daemonLock = "pipex.lock"
