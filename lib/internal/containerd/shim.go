package containerd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	containersapi "github.com/containerd/containerd/api/services/containers/v1"
	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/errdefs"
	"golang.org/x/sys/unix"

	"pipex/lib/internal/trace"
)

// Shim is a process of containerd that runs one container. If a client is killed while it
// creates a task, a shim can be left that containerd itself does not know of.
type Shim struct {
	// ID is the container's id.
	ID string
	// Run is the container's run; empty if the container's record is gone. Workdir is
	// the directory of the run's workspace.
	Run, Workdir string

	pid int
	// command is the shim's command line. bundle is its working directory, which holds
	// all its files.
	command []string
	bundle  string
}

// shimName is the program of [runtimeName].
const shimName = "containerd-shim-runc-v2"

// Shims returns the shims on this machine of this client's containerd and namespace. It
// searches /proc (proc(5)), so it also finds those that containerd does not know of.
func (c *Client) Shims(ctx context.Context) ([]Shim, error) {
	ctx, part := trace.Start(ctx, "containerd shims")
	defer part.End()
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var shims []Shim
	for _, process := range processes {
		s, ok := c.shim(process)
		if !ok {
			continue
		}
		r, err := c.containers().Get(c.Context(ctx), &containersapi.GetContainerRequest{ID: s.ID})
		if err = errdefs.FromGRPC(err); err != nil && !errdefs.IsNotFound(err) {
			return nil, fmt.Errorf("cannot look up container %q: %w", s.ID, err)
		}
		labels := r.GetContainer().GetLabels()
		s.Run, s.Workdir = labels[labelRun], labels[labelWorkdir]
		shims = append(shims, s)
	}
	return shims, nil
}

// shim reads a process. ok is false if it is not a shim of this containerd and namespace.
func (c *Client) shim(process string) (s Shim, ok bool) {
	data, err := os.ReadFile(process + "/cmdline")
	if err != nil || !bytes.Contains(data, []byte(shimName)) {
		return s, false
	}
	s.command = strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")
	if filepath.Base(s.command[0]) != shimName || s.option("-namespace") != c.Namespace || !sameFile(s.option("-address"), c.address) {
		return s, false
	}
	s.ID = s.option("-id")
	s.pid, err = strconv.Atoi(filepath.Base(process))
	if err == nil {
		s.bundle, err = os.Readlink(process + "/cwd")
	}
	return s, err == nil && s.ID != ""
}

func (s *Shim) option(name string) string {
	for i, word := range s.command[:len(s.command)-1] {
		if word == name {
			return s.command[i+1]
		}
	}
	return ""
}

func sameFile(a, b string) bool {
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}

// transient is how long a shim process may take that only starts another shim or cleans up
// after one.
const transient = 10 * time.Second

// EndShim kills a shim and removes what it holds, and reports whether it did. It leaves a
// shim alone if containerd knows its task and its container. If the process only starts
// another shim or cleans up after one, EndShim waits for it to end. The caller makes sure
// that no client is creating that task now.
func (c *Client) EndShim(ctx context.Context, s Shim) (bool, error) {
	ctx = c.Context(ctx)
	_, err := c.tasks().Get(ctx, &tasksapi.GetRequest{ContainerID: s.ID})
	if err = errdefs.FromGRPC(err); !errdefs.IsNotFound(err) {
		return false, err
	}
	// The descriptor always refers to this process, even if its id is reused.
	fd, err := unix.PidfdOpen(s.pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot end shim %d: %w", s.pid, err)
	}
	defer unix.Close(fd)
	if again, ok := c.shim("/proc/" + strconv.Itoa(s.pid)); !ok || again.ID != s.ID {
		return false, nil
	}
	if last := s.command[len(s.command)-1]; last == "start" || last == "delete" {
		return true, ended(fd)
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return false, fmt.Errorf("cannot end shim %d: %w", s.pid, err)
	}
	if err := ended(fd); err != nil {
		return false, err
	}
	defer removeSocket(s.option("-address"), c.Namespace, s.ID)
	return true, s.clean(ctx)
}

// removeSocket removes the socket of a shim that is dead. Only the shim itself removes it
// otherwise. Its name is a hash of containerd's address, the namespace and the id.
func removeSocket(address, namespace, id string) {
	sum := sha256.Sum256([]byte(filepath.Join(address, namespace, id)))
	os.Remove(filepath.Join("/run/containerd/s", hex.EncodeToString(sum[:])))
}

// ended waits until a process has ended.
func ended(pidfd int) error {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(transient.Milliseconds()))
	if errors.Is(err, unix.EINTR) {
		return ended(pidfd)
	}
	if err == nil && n == 0 {
		err = fmt.Errorf("a shim does not end within %s", transient)
	}
	return err
}

// EndStray ends the shims of a container that no longer exists.
func (c *Client) EndStray(ctx context.Context, id string) error {
	shims, err := c.Shims(ctx)
	for _, s := range shims {
		if s.ID == id && err == nil {
			_, err = c.EndShim(ctx, s)
		}
	}
	return err
}

// clean removes what a killed shim leaves, as containerd does after a crash of a shim: the
// shim's program, run with "delete", removes container, control group and mounts. The
// caller removes the bundle.
func (s *Shim) clean(ctx context.Context) error {
	if filepath.Base(s.bundle) != s.ID {
		return nil // it has no bundle
	}
	cmd := exec.CommandContext(ctx, s.command[0], "-namespace", s.option("-namespace"), "-address", s.option("-address"),
		"-id", s.ID, "-bundle", s.bundle, "delete")
	cmd.Dir = s.bundle
	out, err := cmd.CombinedOutput()
	if _, gone := os.Stat(s.bundle); errors.Is(gone, fs.ErrNotExist) {
		return nil // containerd has cleaned up itself
	}
	if err != nil {
		return fmt.Errorf("cannot remove what shim %d left: %w: %s", s.pid, err, bytes.TrimSpace(out))
	}
	for unix.Unmount(filepath.Join(s.bundle, "rootfs"), unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) == nil {
	}
	work, err := os.Readlink(filepath.Join(s.bundle, "work"))
	if err == nil && filepath.Base(work) == s.ID {
		os.RemoveAll(work)
	}
	return os.RemoveAll(s.bundle)
}
