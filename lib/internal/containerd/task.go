package containerd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	containersapi "github.com/containerd/containerd/api/services/containers/v1"
	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/containerd/mount"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/anypb"

	"pipex/lib/internal/cgroup"
	"pipex/lib/internal/lazy"
	"pipex/lib/internal/trace"
)

// Task is the process of a container, created or running.
type Task struct {
	client *Client
	id     string
	pid    uint32
	// shim is the process id of the task's shim; 0 if it is not known.
	shim int
	// pipes are the pipes that the command got as its stdout and stderr; zero if they are
	// not known.
	pipes [2]uint64
	// runtime is the program that process 1 was before it became the command's: the OCI
	// runtime. It is nil if that is not known.
	runtime os.FileInfo
}

func newTask(c *Client, id string, pid uint32) *Task {
	t := &Task{client: c, id: id, pid: pid}
	// The shim is the parent of the container's process 1.
	status, _ := os.ReadFile(t.proc("status"))
	for line := range strings.Lines(string(status)) {
		if parent, ok := strings.CutPrefix(line, "PPid:"); ok {
			t.shim, _ = strconv.Atoi(strings.TrimSpace(parent))
		}
	}
	for i := range t.pipes {
		t.pipes[i], _ = t.pipe(i)
	}
	return t
}

// output returns the path of the file that process 1 of the container has as its stdout, 0,
// or its stderr, 1.
func (t *Task) output(i int) string { return t.proc(fmt.Sprintf("fd/%d", i+1)) }

// proc returns the path of a file of process 1 of the container in /proc.
func (t *Task) proc(file string) string { return fmt.Sprintf("/proc/%d/%s", t.pid, file) }

// pipe returns the inode of the pipe that process 1 has as its stdout, 0, or its stderr, 1.
func (t *Task) pipe(i int) (uint64, error) {
	var stat unix.Stat_t
	err := unix.Stat(t.output(i), &stat)
	if err == nil && stat.Mode&unix.S_IFMT != unix.S_IFIFO {
		err = unix.ENOENT
	}
	return stat.Ino, err
}

// Output opens the pipe that the command writes to as its stdout, 0, or its stderr, 1, for
// a caller that reads it in place of the shim. The result is nil without an error if the
// command has ended or no longer has the pipe.
func (t *Task) Output(i int) (*os.File, error) {
	ino, err := t.pipe(i)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) || err == nil && ino != t.pipes[i] {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	// Non-blocking, so that a deadline ends a Read.
	fd, err := unix.Open(t.output(i), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	var opened unix.Stat_t
	if err := unix.Fstat(fd, &opened); err != nil || opened.Ino != ino || opened.Mode&unix.S_IFMT != unix.S_IFIFO {
		unix.Close(fd) // the command has replaced it since
		return nil, err
	}
	return os.NewFile(uintptr(fd), "the command's output"), nil
}

// HasTerminal reports whether process 1 of the container still has its terminal: while it
// has, the shim has a terminal to read from.
func (t *Task) HasTerminal() bool {
	var stat unix.Stat_t
	return unix.Stat(t.output(0), &stat) == nil && stat.Mode&unix.S_IFMT == unix.S_IFCHR
}

// ErrNoShim says that a task's shim does not run, or is not known.
var ErrNoShim = errors.New("the task has no shim")

// ShimHas reports whether the task's shim has one of the files open. The error wraps
// [ErrNoShim] or [os.ErrPermission] if that cannot be told.
func (t *Task) ShimHas(paths ...string) (bool, error) {
	dir := fmt.Sprintf("/proc/%d", t.shim)
	name, _ := os.ReadFile(dir + "/cmdline")
	if command, _, _ := strings.Cut(string(name), "\x00"); filepath.Base(command) != shimName {
		return false, ErrNoShim
	}
	open, err := os.ReadDir(dir + "/fd")
	if err == nil && len(open) == 0 {
		err = ErrNoShim // one that is being killed has no files any more
	}
	var files []os.FileInfo
	for _, path := range paths {
		if err != nil {
			return false, err
		}
		var info os.FileInfo
		info, err = os.Stat(path)
		files = append(files, info)
	}
	for _, fd := range open {
		is, gone := os.Stat(filepath.Join(dir, "fd", fd.Name()))
		if gone == nil && slices.ContainsFunc(files, func(f os.FileInfo) bool { return os.SameFile(f, is) }) {
			return true, err
		}
	}
	return false, err
}

// runtimeName is containerd's shim for runc.
const runtimeName = "io.containerd.runc.v2"

// specType is the type URL by which containerd recognizes an OCI runtime configuration.
var specType = "types.containerd.io/opencontainers/runtime-spec/" + strconv.Itoa(specs.VersionMajor) + "/Spec"

// CheckLog returns an error for a path that cannot hold logs: the shim parses the path of a
// log as a URL.
func CheckLog(path string) error {
	if _, err := url.Parse(path); err != nil {
		return fmt.Errorf("%q cannot hold logs, because containerd's shim reads a per cent sign as an escape; use a directory without one", path)
	}
	return nil
}

// CreateContainer creates the record of a container, which uses the snapshot of the same id.
func (c *Client) CreateContainer(ctx context.Context, o Object, image string, spec *specs.Spec) error {
	ctx, part := trace.Start(ctx, "containerd container")
	defer part.End()
	data, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	_, err = c.containers().Create(c.Context(ctx), &containersapi.CreateContainerRequest{Container: &containersapi.Container{
		ID: o.ID, Labels: o.Labels(), Image: image,
		Runtime:     &containersapi.Container_Runtime{Name: runtimeName},
		Spec:        &anypb.Any{TypeUrl: specType, Value: data},
		Snapshotter: c.Snapshotter, SnapshotKey: o.ID,
	}})
	return errdefs.FromGRPC(err)
}

// Streams are the files that a task reads and writes.
type Streams struct {
	// Stdin is a FIFO, or empty for no input. Stdout and Stderr are existing files. The
	// shim itself appends to them, so they are complete even if the client dies.
	Stdin, Stdout, Stderr string
	// Terminal gives the command a terminal. The shim writes its output to Stdout from
	// the beginning of the file, over what is there; Stderr must be empty.
	Terminal bool
}

// CreateTask creates a task in an existing container, ready to be started, and returns its
// process id. The error is a [*CommandError] if the command args cannot be run.
func (c *Client) CreateTask(ctx context.Context, id string, rootfs []mount.Mount, io Streams, options *anypb.Any, args []string) (*Task, uint32, error) {
	ctx, part := trace.Start(ctx, "containerd create task")
	defer part.End()
	r, err := c.tasks().Create(c.Context(ctx), &tasksapi.CreateTaskRequest{
		Options:     options,
		ContainerID: id, Rootfs: toAPI(rootfs), Stdin: io.Stdin, Stdout: io.Stdout, Stderr: io.Stderr, Terminal: io.Terminal,
	})
	if err != nil {
		return nil, 0, commandError(args, errdefs.FromGRPC(err), fmt.Sprintf("cannot create task %q", id))
	}
	t := newTask(c, id, r.Pid)
	t.runtime, _ = os.Stat(t.proc("exe"))
	return t, r.Pid, nil
}

func toAPI(mounts []mount.Mount) []*types.Mount {
	var out []*types.Mount
	for _, m := range mounts {
		out = append(out, &types.Mount{Type: m.Type, Source: m.Source, Target: m.Target, Options: m.Options})
	}
	return out
}

// Attach returns the started task id, or nil and no error if there is none. It removes a
// task that was created and never started.
func (c *Client) Attach(ctx context.Context, id string) (*Task, error) {
	r, err := c.tasks().Get(c.Context(ctx), &tasksapi.GetRequest{ContainerID: id})
	err = errdefs.FromGRPC(err)
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err == nil && r.Process.Status == task.Status_CREATED {
		return nil, c.RemoveContainer(ctx, id)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot look for task %q: %w", id, err)
	}
	return newTask(c, id, r.Process.Pid), nil
}

// Start starts the command. After an error the container is removed.
func (t *Task) Start(ctx context.Context, args []string) error {
	ctx, part := trace.Start(ctx, "containerd start")
	defer part.End()
	ctx = t.client.Context(ctx)
	if _, err := t.client.tasks().Start(ctx, &tasksapi.StartRequest{ContainerID: t.id}); err != nil {
		return errors.Join(commandError(args, errdefs.FromGRPC(err), fmt.Sprintf("cannot start %q", args[0])), t.Delete(context.WithoutCancel(ctx)))
	}
	return nil
}

// Exit is how a task ended. Code is the command's status, or 128 and the number
// of the signal that ended it.
type Exit struct {
	Code int
	At   time.Time
}

// restartWait is how long Wait waits for a containerd that has stopped to come back.
// Meanwhile the container goes on running.
const restartWait = 2 * time.Minute

// Wait waits until the task has ended. If containerd restarts meanwhile, Wait reconnects.
// A task that ends while containerd is down is asked for at its shim, since containerd may
// not know of it any more.
func (t *Task) Wait(ctx context.Context) (Exit, error) {
	ctx, cancel := context.WithCancel(t.client.Context(ctx))
	defer cancel()
	var lost time.Time
	ended := make(chan Exit, 1)
	for {
		r, err := t.client.tasks().Wait(ctx, &tasksapi.WaitRequest{ContainerID: t.id})
		if err == nil {
			return Exit{Code: int(r.ExitStatus), At: r.ExitedAt.AsTime()}, nil
		}
		err = errdefs.FromGRPC(err)
		if errdefs.IsNotFound(err) && !lost.IsZero() {
			select {
			case exit := <-ended:
				return exit, nil
			case <-time.After(shimWait):
			}
		}
		if ctx.Err() != nil || !errdefs.IsUnavailable(err) {
			return Exit{}, fmt.Errorf("task %q was lost: %w", t.id, err)
		}
		if lost.IsZero() {
			lost = time.Now()
			go func() {
				if exit, err := t.client.shimExit(ctx, t.id); err == nil {
					ended <- exit
				}
			}()
		}
		if time.Since(lost) > restartWait {
			return Exit{}, fmt.Errorf("containerd did not answer for more than %s: %w", restartWait, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// shimWait is how long the answer of a shim may still be on its way when containerd says
// that its task is gone.
const shimWait = time.Second

// handlerWait is how long Signal waits for a process that has just started to handle a
// signal. An init does within milliseconds; a command without one may never.
const handlerWait = 2 * time.Second

// Signal sends sig to the command only, not to other processes of the container. If the task
// has ended, it does nothing. The kernel drops a signal that process 1 does not handle, so
// Signal waits for up to two seconds until it does: a container that has just been started
// may not have come so far.
func (t *Task) Signal(ctx context.Context, sig syscall.Signal) error {
	for end := time.Now().Add(handlerWait); !t.handles(sig) && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
	}
	return t.kill(ctx, sig, false)
}

// handles reports whether process 1 blocks, ignores or catches a signal. It is true if that
// cannot be known.
func (t *Task) handles(sig syscall.Signal) bool {
	exe, err := os.Stat(t.proc("exe"))
	if err != nil {
		return true
	}
	if t.runtime != nil && os.SameFile(exe, t.runtime) {
		return false
	}
	status, err := os.ReadFile(t.proc("status"))
	if err != nil {
		return true
	}
	for _, set := range signalSets().FindAllSubmatch(status, -1) {
		if bits, err := strconv.ParseUint(string(set[1]), 16, 64); err != nil || bits>>(sig-1)&1 == 1 {
			return true
		}
	}
	return false
}

// signalSets are the signals that a process blocks, ignores and catches, in its status.
var signalSets = lazy.Regexp(`(?m)^Sig(?:Blk|Ign|Cgt):\s*([0-9a-f]+)$`)

// Kill kills every process of the container at once.
func (t *Task) Kill(ctx context.Context) error { return t.kill(ctx, syscall.SIGKILL, true) }

func (t *Task) kill(ctx context.Context, sig syscall.Signal, all bool) error {
	_, err := t.client.tasks().Kill(t.client.Context(ctx), &tasksapi.KillRequest{ContainerID: t.id, Signal: uint32(sig), All: all})
	if err = errdefs.FromGRPC(err); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("cannot send %v: %w", sig, err)
	}
	return nil
}

// Resize sets the size of the task's terminal, in columns and rows.
func (t *Task) Resize(ctx context.Context, width, height int) error {
	_, err := t.client.tasks().ResizePty(t.client.Context(ctx), &tasksapi.ResizePtyRequest{ContainerID: t.id, Width: uint32(width), Height: uint32(height)})
	return errdefs.FromGRPC(err)
}

// CloseStdin closes the command's standard input.
func (t *Task) CloseStdin(ctx context.Context) error {
	_, err := t.client.tasks().CloseIO(t.client.Context(ctx), &tasksapi.CloseIORequest{ContainerID: t.id, Stdin: true})
	return errdefs.FromGRPC(err)
}

// Delete removes an ended task and its container. After it has returned nil, everything that
// the command wrote is in its log files.
func (t *Task) Delete(ctx context.Context) error {
	return t.client.RemoveContainer(ctx, t.id)
}

// Usage returns what the task, whose control group is group, or the default one, has used so far. Call it before
// Delete.
func (t *Task) Usage(group string) cgroup.Usage {
	if group == "" {
		group = cgroup.Default(t.client.Namespace, t.id)
	}
	return cgroup.Used(group)
}

// CommandError says that the command cannot be run in the container. Code is 127 if the
// command does not exist and 126 otherwise, as for env(1).
type CommandError struct {
	Code int
	Cmd  string
	Why  string
}

func (e *CommandError) Error() string { return fmt.Sprintf("cannot run %q: %s", e.Cmd, e.Why) }

// runc has no error codes for what is wrong with a command, only messages.
var (
	notFound      = lazy.Regexp(`exec: "[^"]*": (executable file not found in \$PATH|stat [^:]*: no such file or directory)|exec /[^:]*: no such file or directory`)
	notExecutable = lazy.Regexp(`exec: "[^"]*": (permission denied|is a directory)|exec /[^:]*: (permission denied|exec format error|is a directory)|exec format error`)
)

// commandError is a [*CommandError] if the command itself cannot be run, and otherwise
// says what was tried.
func commandError(args []string, err error, tried string) error {
	msg := err.Error()
	switch {
	case notFound().MatchString(msg):
		return &CommandError{127, args[0], "no such command in the container"}
	case notExecutable().MatchString(msg):
		return &CommandError{126, args[0], "not executable in the container"}
	}
	// runc's own message is the last of a chain of wrappers, each a prefix.
	if i := strings.LastIndex(msg, "runc create failed: "); i >= 0 {
		before := ""
		if j := strings.Index(msg, ": failed to create shim task"); j > 0 {
			before = msg[:j] + ": " // ours
		}
		err = errors.New(before + msg[i:])
	}
	return fmt.Errorf("%s: %w", tried, err)
}
