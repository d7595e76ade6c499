package oci

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	runcoptions "github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/containerd/leases"
	"github.com/containerd/containerd/mount"
	"github.com/containerd/containerd/oci"
	"github.com/containerd/containerd/snapshots"
	"github.com/containerd/typeurl/v2"
	"github.com/google/uuid"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/anypb"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/trace"
	"pipex/lib/step"
)

// withUserns gives the container a user namespace of its own.
func withUserns(m *step.IDMap) oci.SpecOpts {
	mappings := func(root, sub uint32) []specs.LinuxIDMapping {
		return []specs.LinuxIDMapping{{HostID: root, Size: 1}, {ContainerID: 1, HostID: sub, Size: step.IDCount}}
	}
	return oci.WithUserNamespace(mappings(m.UID, m.SubUID), mappings(m.GID, m.SubGID))
}

// options returns the options that make the shim change the owner of the command's pipes to
// root of the user namespace, since the command may open /dev/stdout.
func (c *Container) options() (*anypb.Any, error) {
	if c.Step.Userns == nil {
		return nil, nil
	}
	data, err := typeurl.MarshalAny(&runcoptions.Options{IoUid: c.Step.Userns.UID, IoGid: c.Step.Userns.GID})
	if err != nil {
		return nil, err
	}
	return &anypb.Any{TypeUrl: data.GetTypeUrl(), Value: data.GetValue()}, nil
}

// parent returns the parent of the run's snapshot: the snapshot of the image's layers or, with
// a user namespace, a copy of it whose files belong to the users there. The copy is made once
// per mapping and lives as long as the image.
func parent(ctx context.Context, c *containerd.Client, cfg *Container) (string, error) {
	if cfg.Step.Userns == nil {
		return cfg.ChainID, nil
	}
	ctx, part := trace.Start(ctx, "userns snapshot")
	defer part.End()
	m := cfg.Step.Userns
	ids := fmt.Sprintf("%d.%d.%d.%d", m.UID, m.GID, m.SubUID, m.SubGID)
	name := "pipex-userns-" + ids + "-" + cfg.ChainID
	service := c.SnapshotService(c.Snapshotter)
	if _, err := service.Stat(ctx, name); err == nil {
		// The image may have been removed; then only this run's lease keeps its layers.
		return name, c.Leases().AddResource(ctx, leases.Lease{ID: cfg.ID}, leases.Resource{ID: name, Type: "snapshots/" + c.Snapshotter})
	}
	draft := name + "-" + uuid.NewString()
	mounts, err := service.Prepare(ctx, draft, cfg.ChainID, snapshots.WithLabels(cfg.Labels()))
	if err == nil {
		err = give(mounts, m)
	}
	if err == nil {
		err = service.Commit(ctx, name, draft)
	}
	if err != nil {
		err = errors.Join(err, service.Remove(context.WithoutCancel(ctx), draft))
	}
	if errdefs.IsAlreadyExists(err) {
		return name, nil // another exec was faster
	}
	if err != nil {
		return "", fmt.Errorf("cannot make user %d the owner of the image's files: %w", m.UID, err)
	}
	label := "containerd.io/gc.ref.snapshot." + c.Snapshotter + "/pipex-userns-" + ids
	return name, c.LabelContent(ctx, cfg.Step.ImageID, label, name)
}

// give changes the owner of each file of a root file system to the host's id of its owner in
// the container. It mounts the file system in a mount namespace of its own, so that it is
// unmounted when this process dies.
func give(mounts []mount.Mount, m *step.IDMap) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked, so the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		root := os.TempDir()
		if err == nil {
			err = mount.All(mounts, root)
		}
		if err == nil {
			err = giveAll(root, m)
			err = errors.Join(err, unix.Unmount(root, unix.MNT_DETACH))
		}
		result <- err
	}()
	return <-result
}

func giveAll(root string, m *step.IDMap) error {
	type inode struct{ dev, ino uint64 }
	given := map[inode]bool{}
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		stat := info.Sys().(*syscall.Stat_t)
		if !info.IsDir() && stat.Nlink > 1 {
			if given[inode{stat.Dev, stat.Ino}] {
				return nil
			}
			given[inode{stat.Dev, stat.Ino}] = true
		}
		if err := os.Lchown(path, int(m.HostUID(stat.Uid)), int(m.HostGID(stat.Gid))); err != nil {
			return err
		}
		if info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
			return unix.Chmod(path, stat.Mode&0o7777) // chown(2) clears these
		}
		return nil
	})
}
