package containerd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	containersapi "github.com/containerd/containerd/api/services/containers/v1"
	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/containerd/leases"
	"github.com/containerd/containerd/snapshots"
	"golang.org/x/sys/unix"

	"pipex/lib/internal/trace"
)

// Owner is the run to which objects in containerd belong. Each object has it in its labels,
// so that ctr, nerdctl and pipex-prune can find it.
type Owner struct {
	Workspace string
	// Workdir is the absolute path of the workspace's directory.
	Workdir string
	Run     string
	Step    string
	// Job is the job of a batch system that executes the run; empty for none.
	Job     string
	Version string
}

// The labels.
const (
	labelWorkspace = "pipex.workspace"
	labelWorkdir   = "pipex.workdir"
	labelRun       = "pipex.run"
	labelStep      = "pipex.step"
	labelJob       = "pipex.job"
	labelVersion   = "pipex.version"
)

// Labels returns the labels of every object of the owner.
func (o Owner) Labels() map[string]string {
	l := map[string]string{labelWorkspace: o.Workspace, labelWorkdir: o.Workdir, labelRun: o.Run, labelVersion: o.Version}
	if o.Step != "" {
		l[labelStep] = o.Step
	}
	if o.Job != "" {
		l[labelJob] = o.Job
	}
	return l
}

// NewID returns the name of the owner's objects: the run's id, changed and shortened to
// what containerd accepts (at most 76 characters, no separator at either end), then hashes
// of the workspace's directory and of the run's id. The hashes make the name unique.
func (o Owner) NewID() string {
	readable := strings.Join(strings.FieldsFunc(o.Run, unfit), "-")
	if len(readable) > 40 {
		readable = strings.Trim(readable[:40], "-")
	}
	return strings.Trim(readable+"-"+hash(o.Workdir, workdirDigits)+hash(o.Run, runDigits), "-")
}

// unfit tells whether a character of a run's id separates words in the id of its objects.
func unfit(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
}

// The lengths of the hashes in an id.
const (
	workdirDigits = 12
	runDigits     = 8
)

// Belongs reports whether NewID returns id for a run of the workspace in workdir.
func Belongs(id, workdir string) bool {
	n := len(id) - workdirDigits - runDigits
	return n >= 0 && id[n:n+workdirDigits] == hash(workdir, workdirDigits)
}

func hash(text string, digits int) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:digits]
}

// Object is everything in containerd that belongs to one owner. All of it has the name ID.
type Object struct {
	ID string
	Owner
}

// Lease creates the lease o.ID. It protects digest, an image's manifest or index, and
// everything that it refers to, unpacked layers included. What an earlier run of the same name
// has left is removed first: its lease is the last thing that goes.
func (c *Client) Lease(ctx context.Context, o Object, digest string) error {
	ctx, part := trace.Start(ctx, "containerd lease")
	defer part.End()
	ctx = c.Context(ctx)
	create := func() (leases.Lease, error) {
		return c.Leases().Create(ctx, leases.WithID(o.ID), leases.WithLabels(o.Labels()))
	}
	lease, err := create()
	if errdefs.IsAlreadyExists(err) {
		if err = c.Remove(ctx, o.ID); err == nil {
			lease, err = create()
		}
	}
	if err == nil {
		err = c.Leases().AddResource(ctx, lease, leases.Resource{ID: digest, Type: "content"})
	}
	if err != nil {
		return fmt.Errorf("cannot lease image %q: %w", digest, err)
	}
	return nil
}

// LeaseSnapshot adds an existing snapshot to the lease id.
func (c *Client) LeaseSnapshot(ctx context.Context, id, key string) error {
	ctx = c.Context(ctx)
	_, err := c.SnapshotService(c.Snapshotter).Stat(ctx, key)
	if err == nil {
		err = c.Leases().AddResource(ctx, leases.Lease{ID: id}, leases.Resource{ID: key, Type: "snapshots/" + c.Snapshotter})
	}
	if err != nil {
		return fmt.Errorf("cannot lease snapshot %q: %w", key, err)
	}
	return nil
}

// Remove removes everything of the name id: it kills the task, waits for it, and removes
// container, snapshots and lease. It ignores what does not exist.
func (c *Client) Remove(ctx context.Context, id string) error {
	if err := c.RemoveContainer(ctx, id); err != nil {
		return err
	}
	return c.RemoveRest(ctx, id)
}

// RemoveRest removes what [Client.Remove] does, of a container that is removed.
func (c *Client) RemoveRest(ctx context.Context, id string) error {
	ctx, part := trace.Start(ctx, "containerd remove", id)
	defer part.End()
	removeSocket(c.address, c.Namespace, id)
	// Without its lease the snapshot would be garbage, but containerd may collect that
	// much later. So remove it now.
	if err := c.RemoveSnapshots(ctx, id); err != nil {
		return err
	}
	ctx = c.Context(ctx)
	if err := c.Leases().Delete(ctx, leases.Lease{ID: id}); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("cannot drop lease %q: %w", id, err)
	}
	return nil
}

// SourcesSuffix is added to the run's id to name the snapshot of its sources.
const SourcesSuffix = "-sources"

// Upper returns the host's directory that holds what the container id has written: the
// upper directory of its overlay, or for the copies of sources the directory as a whole. It
// returns "" if there is no such snapshot, and an error if the snapshotter has no such
// directory.
func (c *Client) Upper(ctx context.Context, id string) (string, error) {
	mounts, err := c.SnapshotService(c.Snapshotter).Mounts(c.Context(ctx), id)
	if errdefs.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("cannot look at snapshot %q: %w", id, err)
	}
	if len(mounts) == 1 && mounts[0].Type == "overlay" {
		for _, option := range mounts[0].Options {
			if dir, ok := strings.CutPrefix(option, "upperdir="); ok {
				return dir, nil
			}
		}
	}
	if len(mounts) == 1 && mounts[0].Type == "bind" && strings.HasSuffix(id, SourcesSuffix) {
		return mounts[0].Source, nil
	}
	return "", fmt.Errorf("the snapshotter %q has no directory for what a container has written", c.Snapshotter)
}

// killWait is how long a killed task may take to end. One that takes longer hangs in the
// kernel, where no signal ends it.
const killWait = 20 * time.Second

// RemoveContainer removes the container id and its task, which it kills if it still runs.
// It ignores what does not exist.
func (c *Client) RemoveContainer(ctx context.Context, id string) error {
	_, err := c.removeContainer(ctx, id)
	return err
}

// RemoveEnded is [Client.RemoveContainer] for a container that has a task, unless somebody has
// removed that. If they were killed at that, containerd may have forgotten to end the task's
// shim; then RemoveEnded does. The caller makes sure that nobody creates a task of that name.
func (c *Client) RemoveEnded(ctx context.Context, id string) error {
	had, err := c.removeContainer(ctx, id)
	if err == nil && !had {
		err = c.EndStray(ctx, id)
	}
	return err
}

// removeContainer removes the container id and its task, and reports whether it had a task.
func (c *Client) removeContainer(ctx context.Context, id string) (had bool, err error) {
	ctx, part := trace.Start(ctx, "containerd remove container", id)
	defer part.End()
	ctx = c.Context(ctx)
	if had, err = c.deleteTask(ctx, id); err == nil {
		_, err = c.containers().Delete(ctx, &containersapi.DeleteContainerRequest{ID: id})
		err = errdefs.FromGRPC(err)
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return had, fmt.Errorf("cannot remove container %q: %w", id, err)
	}
	return had, nil
}

// deleteTask kills the task id if it still runs, and deletes it. had is false if there was
// none.
func (c *Client) deleteTask(ctx context.Context, id string) (had bool, err error) {
	_, err = c.tasks().Delete(ctx, &tasksapi.DeleteTaskRequest{ContainerID: id})
	err = errdefs.FromGRPC(err)
	if err == nil || errdefs.IsNotFound(err) {
		return err == nil, nil
	}
	// Most likely it still runs. The shim has no error code for that, only a message.
	_, err = c.tasks().Kill(ctx, &tasksapi.KillRequest{ContainerID: id, Signal: uint32(unix.SIGKILL), All: true})
	if err = errdefs.FromGRPC(err); err != nil && !errdefs.IsNotFound(err) {
		return true, err
	}
	wait, cancel := context.WithTimeout(ctx, killWait)
	defer cancel()
	_, err = c.tasks().Wait(wait, &tasksapi.WaitRequest{ContainerID: id})
	if err != nil && wait.Err() != nil && ctx.Err() == nil {
		return true, fmt.Errorf("its task has not ended within %s", killWait)
	}
	if err != nil && !errdefs.IsNotFound(errdefs.FromGRPC(err)) {
		return true, errdefs.FromGRPC(err)
	}
	_, err = c.tasks().Delete(ctx, &tasksapi.DeleteTaskRequest{ContainerID: id})
	if err = errdefs.FromGRPC(err); err != nil && !errdefs.IsNotFound(err) {
		return true, err
	}
	return true, nil
}

// Running reports whether the container id has a task that was started and has not ended.
// A task that was only created waits for its client to start it. If the client is dead, it
// never will.
func (c *Client) Running(ctx context.Context, id string) (bool, error) {
	r, err := c.tasks().Get(c.Context(ctx), &tasksapi.GetRequest{ContainerID: id})
	err = errdefs.FromGRPC(err)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot look for task %q: %w", id, err)
	}
	return r.Process.Status != task.Status_STOPPED && r.Process.Status != task.Status_CREATED, nil
}

// Owned returns the objects of all workspaces in the directory dir: each id for which there
// is a lease, a snapshot or a container, once, in no particular order.
func (c *Client) Owned(ctx context.Context, dir string) ([]Object, error) {
	return c.labelled(ctx, labelWorkdir, func(workdir string) bool { return filepath.Dir(workdir) == dir })
}

// OfJob is Owned for what a job of a batch system has created, in whatever directory.
func (c *Client) OfJob(ctx context.Context, job string) ([]Object, error) {
	return c.labelled(ctx, labelJob, func(of string) bool { return of == job })
}

// labelled returns the objects of runs that have a label whose value is meant.
func (c *Client) labelled(ctx context.Context, label string, meant func(value string) bool) ([]Object, error) {
	ctx, part := trace.Start(ctx, "containerd list")
	defer part.End()
	ctx = c.Context(ctx)
	// containerd's filters match a pattern anywhere in a value, so compare the values here.
	filter := "labels." + strconv.Quote(label)
	found := map[string]Owner{}
	add := func(id string, l map[string]string) {
		if l[labelRun] != "" && meant(l[label]) {
			found[strings.TrimSuffix(id, SourcesSuffix)] = owner(l)
		}
	}
	held, err := c.Leases().List(ctx, filter)
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
