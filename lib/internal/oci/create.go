// Package oci creates the container of a decided step: the OCI runtime configuration, the
// snapshot for its root file system, the copies of sources, and the task.
package oci

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/containerd/leases"
	"github.com/containerd/containerd/mount"
	"github.com/containerd/containerd/snapshots"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sync/errgroup"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/trace"
	"pipex/lib/step"
)

// Container says what to run: the decided step, and what this exec adds to it. Only the
// user's name is still to be looked up, in the container's own /etc/passwd.
type Container struct {
	containerd.Object
	Step *step.Pinned
	// ChainID is the name of the snapshot of the image's layers.
	ChainID string
	// Architecture is the processor that the image is for, in Go's words; empty if that is
	// not known.
	Architecture string
	// Args is the command including the entrypoint. Env are all its variables, as K=V.
	Args, Env []string
	// Cgroup is the path of the container's control group in all hierarchies; empty for
	// /NAMESPACE/ID.
	Cgroup string
	// Network is the container's network. NetworkNamespace is the path of the namespace
	// to join, if CNI has set one up.
	Network          step.Network
	NetworkNamespace string
	// Mounts are what the container sees of the host, except sources.
	Mounts []Mount
	// Writable are host directories whose owner becomes the command's user, unless that is
	// root. Only the directories themselves are changed, not what is in them.
	Writable []string
	containerd.Streams
	// Init is the path on the host of a static program that is process 1 and starts the
	// command; see [Init]. If it is empty, the command is process 1.
	Init    string
	Secrets []Secret
	// Below is the writable layer of another container; see [containerd.Client.Upper]. This
	// container sees its files, and writes to a layer of its own. Empty for none.
	Below string
	// Copied are host directories of which the container sees a writable copy, like a
	// source, and whose files belong to the command's user already.
	Copied []Mount
	// BelowSources is the directory of the other container's copies of the sources; empty
	// for none.
	BelowSources string
	// EnvProgram is the path on the host of a static program that calls [secret.Main]. It
	// is needed if a secret is an environment variable.
	EnvProgram string
	// Recorded waits until the exec is recorded, so that a task is never found without its
	// record. An error ends Create.
	Recorded func() error
}

// If a client is killed while it creates a task, containerd goes on creating it, and then
// cleans up, both under the container's name. So the next exec may find that name in use:
// it waits for settle and tries again, createTries times in all.
const (
	settle      = 300 * time.Millisecond
	createTries = 10
)

// Create creates the run's snapshot, unless an earlier exec has created it, the container,
// and a task that is ready to be started. After an error only the snapshot remains. The
// error is a [*containerd.CommandError] if the command cannot be run.
func Create(ctx context.Context, c *containerd.Client, cfg *Container) (*containerd.Task, error) {
	left := false
	for try := 1; ; try++ {
		task, err := create(ctx, c, cfg)
		if err == nil {
			return task, nil
		}
		left = left || errdefs.IsAlreadyExists(err)
		err = undo(ctx, c, cfg.ID, err)
		var command *containerd.CommandError
		if !left || try == createTries || errors.As(err, &command) || ctx.Err() != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(settle):
		}
	}
}

func create(ctx context.Context, c *containerd.Client, cfg *Container) (*containerd.Task, error) {
	rootfs, spec, err := parts(ctx, c, cfg)
	if err != nil {
		return nil, err
	}
	options, err := cfg.options()
	if err != nil {
		return nil, err
	}
	if err := cfg.Recorded(); err != nil {
		return nil, err
	}
	task, pid, err := c.CreateTask(ctx, cfg.ID, rootfs, cfg.Streams, options, cfg.Args)
	if m := cfg.Step.Userns; err != nil && m != nil && strings.Contains(err.Error(), "error preparing rootfs") {
		err = fmt.Errorf("root of the user namespace, user %d here, cannot reach the container's root file system; make containerd's state directory and those above it searchable (chmod o+x): %w", m.UID, err)
	}
	if err == nil {
		err = cfg.placeSecrets(pid, spec)
	}
	return task, err
}

// parts creates the snapshot and the container. It does both in parallel, unless a user's
// name has to be looked up in the snapshot first.
func parts(ctx context.Context, c *containerd.Client, cfg *Container) (rootfs []mount.Mount, spec *specs.Spec, err error) {
	makeSnapshot := func() (err error) {
		rootfs, err = snapshot(ctx, c, cfg)
		if errdefs.IsNotFound(err) {
			return fmt.Errorf("containerd has no lease or not the image of run %q: %w", cfg.Run, err)
		}
		if err != nil {
			err = fmt.Errorf("cannot create the snapshot of run %q: %w", cfg.Run, err)
		}
		return err
	}
	var g errgroup.Group
	if cfg.Step.User == "" {
		g.Go(makeSnapshot)
	} else if err := makeSnapshot(); err != nil {
		return nil, nil, err
	}
	// Here, and not in a goroutine of its own, whose stack would have to grow for the
	// specification's JSON first.
	spec, err = createContainer(ctx, c, cfg)
	var user *UserError
	if errors.As(err, &user) {
		err = user
	} else if err != nil {
		err = fmt.Errorf("cannot create the container of run %q: %w", cfg.Run, err)
	}
	if failed := g.Wait(); err == nil {
		err = failed
	}
	return rootfs, spec, err
}

// undo removes a container whose task failed to start, or one that a dead exec left
// without a task.
func undo(ctx context.Context, c *containerd.Client, id string, why error) error {
	ctx = context.WithoutCancel(ctx)
	err := c.RemoveContainer(ctx, id)
	if err == nil && errdefs.IsAlreadyExists(why) {
		err = c.EndStray(ctx, id)
	}
	return errors.Join(why, err)
}

func snapshot(ctx context.Context, c *containerd.Client, cfg *Container) ([]mount.Mount, error) {
	ctx, part := trace.Start(ctx, "containerd snapshot")
	defer part.End()
	ctx = leases.WithLease(c.Context(ctx), cfg.ID)
	parent, err := parent(ctx, c, cfg)
	if err != nil {
		return nil, err
	}
	service := c.SnapshotService(c.Snapshotter)
	mounts, err := service.Prepare(ctx, cfg.ID, parent, snapshots.WithLabels(cfg.Labels()))
	if errdefs.IsAlreadyExists(err) {
		mounts, err = service.Mounts(ctx, cfg.ID)
	}
	if err == nil && cfg.Below != "" {
		mounts = above(mounts, cfg.Below)
	}
	if err != nil {
		return nil, err
	}
	return volatileRoot(mounts)
}

// above returns an overlay's mounts with one more directory below the writable one.
func above(mounts []mount.Mount, below string) []mount.Mount {
	for i, option := range mounts[0].Options {
		if layers, ok := strings.CutPrefix(option, "lowerdir="); ok {
			mounts[0].Options[i] = "lowerdir=" + below + ":" + layers
		}
	}
	return mounts
}

func createContainer(ctx context.Context, c *containerd.Client, cfg *Container) (*specs.Spec, error) {
	spec, err := runtimeSpec(c.Context(ctx), c, cfg)
	if err != nil {
		return nil, err
	}
	copies, err := sources(c.Context(ctx), c, cfg, spec)
	if err != nil {
		return nil, err
	}
	addMounts(spec, append(cfg.mounts(), copies...))
	if owner := hostOwner(spec, spec.Process.User.UID, spec.Process.User.GID); owner.UID != 0 {
		for _, dir := range cfg.Writable {
			if err := os.Lchown(dir, owner.UID, owner.GID); err != nil {
				return nil, fmt.Errorf("cannot make user %d the owner of a directory: %w", owner.UID, err)
			}
		}
	}
	return spec, c.CreateContainer(ctx, cfg.Object, cfg.Step.Image, spec)
}
