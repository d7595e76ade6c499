package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	containersapi "github.com/containerd/containerd/api/services/containers/v1"
	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/containers"
	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/containerd/leases"
	"github.com/containerd/containerd/mount"
	"github.com/containerd/containerd/snapshots"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/anypb"

	"pipex/lib/trace"
)

// Task is the process of a container, created or running.
type Task struct {
	client *Client
	id     string
}

// runtimeName is containerd's shim for runc.
const runtimeName = "io.containerd.runc.v2"

// specType is how containerd marks an OCI runtime configuration.
var specType = "types.containerd.io/opencontainers/runtime-spec/" + strconv.Itoa(specs.VersionMajor) + "/Spec"

// CheckLog returns an error for a path that cannot be a log's: the shim reads
// it as a URL before it opens it.
func CheckLog(path string) error {
	if _, err := url.Parse(path); err != nil {
		return fmt.Errorf("%q cannot hold logs, because containerd's shim takes a per cent sign for an escape; use a directory without one", path)
	}
	return nil
}

// A client that was killed while it created a task leaves containerd at work on
// it, and then at cleaning up, by the container's name. So whoever finds such a
// container waits for settle, and tries createTries times.
const (
	settle      = 300 * time.Millisecond
	createTries = 10
)

// Create makes the owner's snapshot, unless it stands from an earlier exec, the
// container, and a task that is ready to be started. On an error only the
// snapshot remains. The error is a [*CommandError] when it is the command that
// cannot be run.
func (c *Client) Create(ctx context.Context, cfg Config) (*Task, error) {
	ctx = c.context(ctx)
	left := false
	for try := 1; ; try++ {
		err := c.create(ctx, cfg)
		if err == nil {
			return &Task{c, cfg.ID}, nil
		}
		left = left || errdefs.IsAlreadyExists(err)
		err = c.undo(ctx, cfg.ID, err)
		var command *CommandError
		if !left || try == createTries || errors.As(err, &command) || ctx.Err() != nil {
			return nil, err
		}
		time.Sleep(settle)
	}
}

func (c *Client) create(ctx context.Context, cfg Config) error {
	rootfs, spec, err := c.make(ctx, cfg)
	if err != nil {
		return err
	}
	defer trace.Region("containerd create task")()
	options, err := cfg.options()
	if err != nil {
		return err
	}
	r, err := c.tasks().Create(ctx, &tasksapi.CreateTaskRequest{
		Options:     options,
		ContainerID: cfg.ID, Rootfs: rootfs, Stdin: cfg.Stdin, Stdout: cfg.Stdout, Stderr: cfg.Stderr, Terminal: cfg.Terminal,
	})
	if err != nil {
		err = errdefs.FromGRPC(err)
		if cfg.Userns != nil && strings.Contains(err.Error(), "error preparing rootfs") {
			err = fmt.Errorf("root of the user namespace, user %d here, cannot reach the container's root file system; containerd's state directory, and those above it, must be searchable (chmod o+x): %w", cfg.Userns.UID, err)
		}
		return commandError(cfg.Args, err)
	}
	return cfg.placeSecrets(r.Pid, spec)
}

// make makes the snapshot and the container, at once where it can: neither is
// looked into before there is a task, but for the name of a user.
func (c *Client) make(ctx context.Context, cfg Config) (rootfs []*types.Mount, spec *specs.Spec, err error) {
	snapshot := func() (err error) {
		rootfs, err = c.snapshot(ctx, cfg)
		if errdefs.IsNotFound(err) {
			return fmt.Errorf("containerd has lost the lease or the image of run %q (%w); pipex-discard %s and prepare it anew", cfg.Run, err, cfg.Run)
		}
		if err != nil {
			err = fmt.Errorf("cannot make the snapshot of run %q: %w", cfg.Run, err)
		}
		return err
	}
	var g errgroup.Group
	if cfg.User == "" {
		g.Go(snapshot)
	} else if err := snapshot(); err != nil {
		return nil, nil, err
	}
	g.Go(func() (err error) {
		spec, err = c.createContainer(ctx, cfg)
		var user *UserError
		if errors.As(err, &user) {
			return user
		}
		if err != nil {
			err = fmt.Errorf("cannot create the container of run %q: %w", cfg.Run, err)
		}
		return err
	})
	err = g.Wait()
	return rootfs, spec, err
}

// undo removes a container whose task could not be brought to run, or that
// somebody left who holds the run no more and whose task there is none of.
func (c *Client) undo(ctx context.Context, id string, why error) error {
	ctx = context.WithoutCancel(ctx)
	err := c.removeContainer(ctx, id)
	if err == nil && errdefs.IsAlreadyExists(why) {
		err = c.endStray(ctx, id)
	}
	return errors.Join(why, err)
}

func (c *Client) snapshot(ctx context.Context, cfg Config) ([]*types.Mount, error) {
	defer trace.Region("containerd snapshot")()
	service := c.SnapshotService(c.Snapshotter)
	id := cfg.ID
	parent, err := c.parent(ctx, &cfg)
	if err != nil {
		return nil, err
	}
	mounts, err := service.Prepare(leases.WithLease(ctx, id), id, parent, snapshots.WithLabels(cfg.labels()))
	if errdefs.IsAlreadyExists(err) {
		mounts, err = service.Mounts(ctx, id)
	}
	if err != nil {
		return nil, err
	}
	return toAPI(mounts), nil
}

func toAPI(mounts []mount.Mount) []*types.Mount {
	var out []*types.Mount
	for _, m := range mounts {
		out = append(out, &types.Mount{Type: m.Type, Source: m.Source, Target: m.Target, Options: m.Options})
	}
	return out
}

func (c *Client) createContainer(ctx context.Context, cfg Config) (*specs.Spec, error) {
	defer trace.Region("containerd container")()
	id := cfg.ID
	record := &containers.Container{ID: id, Snapshotter: c.Snapshotter, SnapshotKey: id}
	spec, err := c.spec(ctx, record, &cfg)
	if err != nil {
		return nil, err
	}
	copies, err := c.sources(ctx, &cfg, spec)
	if err != nil {
		return nil, err
	}
	addMounts(spec, append(cfg.mounts(), copies...))
	if owner := hostOwner(spec, spec.Process.User.UID, spec.Process.User.GID); owner.UID != 0 {
		for _, dir := range cfg.Writable {
			if err := os.Lchown(dir, owner.UID, owner.GID); err != nil {
				return nil, fmt.Errorf("cannot give a directory to user %d: %w", owner.UID, err)
			}
		}
	}
	data, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	_, err = c.containers().Create(ctx, &containersapi.CreateContainerRequest{Container: &containersapi.Container{
		ID: id, Labels: cfg.labels(), Image: cfg.Image,
		Runtime:     &containersapi.Container_Runtime{Name: runtimeName},
		Spec:        &anypb.Any{TypeUrl: specType, Value: data},
		Snapshotter: c.Snapshotter, SnapshotKey: id,
	}})
	return spec, errdefs.FromGRPC(err)
}

// Attach finds the started task called id, whose exec may have died. It is nil,
// and no error, when there is none; one that was never started is removed.
func (c *Client) Attach(ctx context.Context, id string) (*Task, error) {
	r, err := c.tasks().Get(c.context(ctx), &tasksapi.GetRequest{ContainerID: id})
	err = errdefs.FromGRPC(err)
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err == nil && r.Process.Status == task.Status_CREATED {
		return nil, c.removeContainer(ctx, id)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot look for task %q: %w", id, err)
	}
	return &Task{c, id}, nil
}

// Start runs the command. On an error the container is gone.
func (t *Task) Start(ctx context.Context, args []string) error {
	defer trace.Region("containerd start")()
	ctx = t.client.context(ctx)
	if _, err := t.client.tasks().Start(ctx, &tasksapi.StartRequest{ContainerID: t.id}); err != nil {
		return t.client.undo(ctx, t.id, commandError(args, errdefs.FromGRPC(err)))
	}
	return nil
}

// Exit is how a task ended. Code is the command's status, or 128 and the number
// of the signal that ended it.
type Exit struct {
	Code int
	At   time.Time
}

// restartWait is how long Wait waits for a containerd that went away to come
// back: the container itself goes on without it.
const restartWait = 2 * time.Minute

// Wait waits until the task has ended. A containerd that restarts meanwhile is
// waited for.
func (t *Task) Wait(ctx context.Context) (Exit, error) {
	defer trace.Region("containerd wait")()
	ctx = t.client.context(ctx)
	var lost time.Time
	for {
		r, err := t.client.tasks().Wait(ctx, &tasksapi.WaitRequest{ContainerID: t.id})
		if err == nil {
			return Exit{Code: int(r.ExitStatus), At: r.ExitedAt.AsTime()}, nil
		}
		err = errdefs.FromGRPC(err)
		if ctx.Err() != nil || !errdefs.IsUnavailable(err) {
			return Exit{}, fmt.Errorf("the task was lost: %w", err)
		}
		if lost.IsZero() {
			lost = time.Now()
		}
		if time.Since(lost) > restartWait {
			return Exit{}, fmt.Errorf("containerd went away for more than %s: %w", restartWait, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// Signal sends sig to the command, and to nothing else in the container. A task
// that has ended is success.
func (t *Task) Signal(ctx context.Context, sig syscall.Signal) error {
	return t.kill(ctx, sig, false)
}

// Kill ends every process of the container at once.
func (t *Task) Kill(ctx context.Context) error { return t.kill(ctx, syscall.SIGKILL, true) }

func (t *Task) kill(ctx context.Context, sig syscall.Signal, all bool) error {
	_, err := t.client.tasks().Kill(t.client.context(ctx), &tasksapi.KillRequest{ContainerID: t.id, Signal: uint32(sig), All: all})
	if err = errdefs.FromGRPC(err); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("cannot send %v: %w", sig, err)
	}
	return nil
}

// Resize tells the task's terminal how many columns and rows it has.
func (t *Task) Resize(ctx context.Context, width, height int) error {
	_, err := t.client.tasks().ResizePty(t.client.context(ctx), &tasksapi.ResizePtyRequest{ContainerID: t.id, Width: uint32(width), Height: uint32(height)})
	return errdefs.FromGRPC(err)
}

// CloseStdin tells the command that its input has ended.
func (t *Task) CloseStdin(ctx context.Context) error {
	_, err := t.client.tasks().CloseIO(t.client.context(ctx), &tasksapi.CloseIORequest{ContainerID: t.id, Stdin: true})
	return errdefs.FromGRPC(err)
}

// Delete removes an ended task and its container. When it returns nil, all that
// the command wrote is in its log files.
func (t *Task) Delete(ctx context.Context) error {
	if err := t.client.removeContainer(ctx, t.id); err != nil {
		return fmt.Errorf("cannot remove container %q: %w", t.id, err)
	}
	return nil
}

// CommandError says that the command itself cannot be run in the container.
// Code is 127 if there is no such command and 126 otherwise, as for env(1).
type CommandError struct {
	Code int
	Cmd  string
	Why  string
}

func (e *CommandError) Error() string { return fmt.Sprintf("cannot run %q: %s", e.Cmd, e.Why) }

// runc tells apart what is wrong with a command by its message only.
var (
	notFound      = regexp.MustCompile(`exec: "[^"]*": (executable file not found in \$PATH|stat [^:]*: no such file or directory)|exec /[^:]*: no such file or directory`)
	notExecutable = regexp.MustCompile(`exec: "[^"]*": (permission denied|is a directory)|exec /[^:]*: (permission denied|exec format error|is a directory)|exec format error`)
)

func commandError(args []string, err error) error {
	msg := err.Error()
	switch {
	case notFound.MatchString(msg):
		return &CommandError{127, args[0], "no such command in the container"}
	case notExecutable.MatchString(msg):
		return &CommandError{126, args[0], "not executable in the container"}
	}
	// runc's own message is the last of a chain of wrappers, each a prefix.
	if i := strings.LastIndex(msg, "runc create failed: "); i >= 0 {
		before := ""
		if j := strings.Index(msg, ": failed to create shim task"); j > 0 {
			before = msg[:j] + ": " // ours
		}
		return errors.New(before + msg[i:])
	}
	return err
}
