package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pipex/lib/internal/trace"
	"pipex/lib/step"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

// Own leaves out of a scan what pipex itself keeps on the host, since that changes all the
// time: the workdir, and the directory of a containerd that pipex-containerd started.
func (p Place) Own() tree.Option {
	p = p.WithDefaults()
	own := []string{p.Workdir}
	daemon := filepath.Dir(strings.TrimPrefix(p.Address, "unix://"))
	if _, err := os.Lstat(filepath.Join(daemon, daemonLock)); err == nil {
		own = append(own, daemon)
	}
	return tree.Without(own...)
}

// daemonLock is a file that marks the directories of pipex-containerd.
const daemonLock = "pipex.lock"

// Look compares the mounts and sources of an open run with what prepare saw, and adds to its
// record m what has changed and that somebody has looked. If something cannot be looked at,
// or ctx ends, it may have changed. Look does not write the record. It warns of changes.
//
// Verbs look before they record a result: so no record has a result whose fingerprint may be
// untrue without saying so, whenever a verb is killed.
func Look(ctx context.Context, p Place, r workspace.Run, m *workspace.Meta) {
	ctx, part := trace.Start(ctx, "look for changes since prepare")
	defer part.End()
	var all []workspace.ChangedInput
	for _, mount := range slices.Concat(m.Mounts, m.Sources) {
		changes, err := look(ctx, p, r, mount)
		if err != nil {
			changes = []workspace.ChangedInput{{Path: mount.HostPath, ContainerPath: mount.ContainerPath, Change: workspace.Unknown, Reason: err.Error()}}
		}
		all = append(all, changes...)
	}
	m.AddChanged(all)
	now := workspace.Now()
	m.LookedAt = &now
	p.Warning(Changed(m))
}

func look(ctx context.Context, p Place, r workspace.Run, mount step.PinnedMount) (changes []workspace.ChangedInput, err error) {
	seen, err := r.Seen(mount.HostPath)
	if errors.Is(err, os.ErrNotExist) {
		err = errors.New("prepare has not noted what it saw")
	}
	if err != nil {
		return nil, err
	}
	// A file system may hang, and lstat(2) with it: then only ctx ends the look.
	type result struct {
		changes []tree.Change
		err     error
	}
	done := make(chan result, 1)
	go func() {
		changes, err := seen.Look(ctx, mount.HostPath, p.Own())
		done <- result{changes, err}
	}()
	select {
	case <-ctx.Done():
		return nil, errInterrupted
	case r := <-done:
		if ctx.Err() != nil {
			return nil, errInterrupted
		}
		for _, c := range r.changes {
			changes = append(changes, workspace.ChangedInput{
				Path: filepath.Join(mount.HostPath, c.Path), ContainerPath: filepath.Join(mount.ContainerPath, c.Path), Change: c.Kind,
			})
		}
		return changes, r.err
	}
}

var errInterrupted = errors.New("interrupted")

// Changed returns a warning that the inputs of a run changed after they were pinned, or nil.
func Changed(m *workspace.Meta) error {
	if len(m.ChangedInputs) == 0 {
		return nil
	}
	return fmt.Errorf("run %q: inputs changed after it was prepared: %s; its result may not match its fingerprint, so it will not be reused", m.RunID, m.Changed())
}
