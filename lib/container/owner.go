package container

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	containersapi "github.com/containerd/containerd/api/services/containers/v1"
	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/containerd/leases"
	"github.com/containerd/containerd/snapshots"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"pipex/lib/trace"
)

// Owner is the run on whose behalf objects exist in containerd; every one of
// them bears it in its labels, for ctr, nerdctl and pipex-prune to find.
type Owner struct {
	Workspace string
	// Workdir is the absolute path of the workspace's directory.
	Workdir string
	Run     string
	Step    string
	Version string
}

// The labels.
const (
	labelWorkspace = "pipex.workspace"
	labelWorkdir   = "pipex.workdir"
	labelRun       = "pipex.run"
	labelStep      = "pipex.step"
	labelVersion   = "pipex.version"
)

func (o Owner) labels() map[string]string {
	l := map[string]string{labelWorkspace: o.Workspace, labelWorkdir: o.Workdir, labelRun: o.Run, labelVersion: o.Version}
	if o.Step != "" {
		l[labelStep] = o.Step
	}
	return l
}

var unfit = regexp.MustCompile(`[^A-Za-z0-9]+`)

// NewID is what a new owner's objects are called: the run's id as far as containerd
// takes it (identifiers are 76 characters long at most, and neither start nor
// end with a separator), then hashes of the workspace's directory and of the
// run's id, which tell apart what would otherwise be called the same.
func (o Owner) NewID() string {
	readable := strings.Trim(unfit.ReplaceAllString(o.Run, "-"), "-")
	if len(readable) > 40 {
		readable = strings.Trim(readable[:40], "-")
	}
	return strings.Trim(readable+"-"+hash(o.Workdir, workdirDigits)+hash(o.Run, runDigits), "-")
}

// The lengths of the hashes in an id.
const (
	workdirDigits = 12
	runDigits     = 8
)

// Belongs tells whether id is one that NewID makes for runs of a workspace.
func Belongs(id, workdir string) bool {
	n := len(id) - workdirDigits - runDigits
	return n >= 0 && id[n:n+workdirDigits] == hash(workdir, workdirDigits)
}

func hash(text string, digits int) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:digits]
}

// Object is what one owner owns, called ID.
type Object struct {
	ID string
	Owner
}

// Lease makes the lease id for its owner and protects the content called digest, an
// image's manifest or index, with all that it refers to, unpacked layers too.
func (c *Client) Lease(ctx context.Context, o Object, digest string) error {
	defer trace.Region("containerd lease")()
	ctx = c.context(ctx)
	lease, err := c.leases().Create(ctx, leases.WithID(o.ID), leases.WithLabels(o.labels()))
	if errdefs.IsAlreadyExists(err) {
		lease, err = leases.Lease{ID: o.ID}, nil // a crashed prepare's of the same run
	}
	if err == nil {
		err = c.leases().AddResource(ctx, lease, leases.Resource{ID: digest, Type: "content"})
	}
	if err != nil {
		return fmt.Errorf("cannot lease image %s: %w", digest, err)
	}
	return nil
}

// Release removes everything called id: it kills the task, waits for it, and
// drops container, snapshot and lease. What is gone already is success.
func (c *Client) Release(ctx context.Context, id string) error {
	if err := c.removeContainer(ctx, id); err != nil {
		return fmt.Errorf("cannot remove container %q: %w", id, err)
	}
	removeSocket(c.address, c.Namespace, id)
	return c.Forget(ctx, id)
}

// Forget drops the snapshot and the lease called id, of a run that has no
// container any more.
func (c *Client) Forget(ctx context.Context, id string) error {
	defer trace.Region("containerd forget %s", id)()
	ctx = c.context(ctx)
	// The lease alone keeps the snapshot alive, but what is only garbage may
	// linger until containerd collects it: removed by name it is gone now.
	var g errgroup.Group
	for _, key := range []string{id, id + sourcesSuffix} {
		g.Go(func() error {
			if err := c.SnapshotService(c.Snapshotter).Remove(ctx, key); err != nil && !errdefs.IsNotFound(err) {
				return fmt.Errorf("cannot remove snapshot %q: %w", key, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := c.leases().Delete(ctx, leases.Lease{ID: id}); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("cannot drop lease %q: %w", id, err)
	}
	return nil
}

// killWait is how long a killed task may take to end; one that takes longer
// hangs in the kernel, and nobody can do anything about it.
const killWait = 20 * time.Second

func (c *Client) removeContainer(ctx context.Context, id string) error {
	defer trace.Region("containerd remove container %s", id)()
	ctx = c.context(ctx)
	ctx, cancel := context.WithTimeout(ctx, killWait)
	defer cancel()
	if err := c.deleteTask(ctx, id); err != nil {
		return err
	}
	_, err := c.containers().Delete(ctx, &containersapi.DeleteContainerRequest{ID: id})
	if err = errdefs.FromGRPC(err); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	return nil
}

// deleteTask kills the task called id if it still runs, and deletes it.
func (c *Client) deleteTask(ctx context.Context, id string) error {
	_, err := c.tasks().Delete(ctx, &tasksapi.DeleteTaskRequest{ContainerID: id})
	err = errdefs.FromGRPC(err)
	if err == nil || errdefs.IsNotFound(err) {
		return nil
	}
	// It most likely runs: the shim has no code for that, only words.
	_, err = c.tasks().Kill(ctx, &tasksapi.KillRequest{ContainerID: id, Signal: uint32(unix.SIGKILL), All: true})
	if err = errdefs.FromGRPC(err); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	if _, err = c.tasks().Wait(ctx, &tasksapi.WaitRequest{ContainerID: id}); err != nil && !errdefs.IsNotFound(errdefs.FromGRPC(err)) {
		return errdefs.FromGRPC(err)
	}
	_, err = c.tasks().Delete(ctx, &tasksapi.DeleteTaskRequest{ContainerID: id})
	if err = errdefs.FromGRPC(err); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	return nil
}

// Running tells whether the container called id has a task that was started and
// has not ended. One that was only created waits for its client, and does nothing
// more once that is dead.
func (c *Client) Running(ctx context.Context, id string) (bool, error) {
	r, err := c.tasks().Get(c.context(ctx), &tasksapi.GetRequest{ContainerID: id})
	err = errdefs.FromGRPC(err)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return r.Process.Status != task.Status_STOPPED && r.Process.Status != task.Status_CREATED, nil
}

// Owned lists what is owned on behalf of a workspace's directory: each id under
// which there is a lease, a snapshot or a container, in no order, none twice.
func (c *Client) Owned(ctx context.Context, workdir string) ([]Object, error) {
	defer trace.Region("containerd list")()
	ctx = c.context(ctx)
	filter := fmt.Sprintf("labels.%s==%s", strconv.Quote(labelWorkdir), strconv.Quote(workdir))
	found := map[string]Owner{}
	add := func(id string, l map[string]string) {
		if l[labelRun] != "" && l[labelWorkdir] == workdir {
			found[strings.TrimSuffix(id, sourcesSuffix)] = Owner{Workspace: l[labelWorkspace], Workdir: workdir, Run: l[labelRun], Step: l[labelStep], Version: l[labelVersion]}
		}
	}
	held, err := c.leases().List(ctx, filter)
	for _, l := range held {
		add(l.ID, l.Labels)
	}
	if err == nil {
		err = c.SnapshotService(c.Snapshotter).Walk(ctx, func(_ context.Context, info snapshots.Info) error {
			add(info.Name, info.Labels)
			return nil
		}, filter)
	}
	if err == nil {
		var r *containersapi.ListContainersResponse
		r, err = c.containers().List(ctx, &containersapi.ListContainersRequest{Filters: []string{filter}})
		for _, container := range r.GetContainers() {
			add(container.ID, container.Labels)
		}
		err = errdefs.FromGRPC(err)
	}
	if err != nil && !errors.Is(err, errdefs.ErrNotFound) {
		return nil, fmt.Errorf("cannot list what containerd holds: %w", err)
	}
	objects := make([]Object, 0, len(found))
	for id, o := range found {
		objects = append(objects, Object{id, o})
	}
	return objects, nil
}
