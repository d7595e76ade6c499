package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pipex/lib/cli/traced"
	"pipex/lib/run"
)

// linger is how long a reaper waits for more to do: longer than the time between two verbs of a
// script, so that a pipeline of short steps needs one.
const linger = 500 * time.Millisecond

// Reap has a reaper remove from containerd what notes say (see [run.HandOver]), and does not wait for
// it. If none runs, it starts one: a pipex-prune with a new session, / as its working directory,
// and none of the caller's descriptors. So no pipe reader, no terminal and no make (for its
// jobserver) waits for it. If it does not start, or dies, the next prune does its work.
func (c *Call) Reap() {
	if ws, err := c.Place().Open(); err != nil || run.Ring(ws) {
		return
	}
	cmd, err := c.pruner(context.Background(), "--reap", "--linger="+linger.String())
	if err != nil || keepDescriptors() != nil {
		return
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer null.Close()
	// Not cmd.Start, which forks once more to find out how it can wait for the process.
	syscall.ForkExec(cmd.Path, cmd.Args, &syscall.ProcAttr{
		Dir: "/", Env: cmd.Environ(), Files: []uintptr{null.Fd(), null.Fd(), null.Fd()},
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
}

// keepDescriptors makes sure that no program that this process starts gets a descriptor above 2,
// also not one that the process itself has got from its caller.
func keepDescriptors() error {
	// close_range(2) can do it since Linux 5.11, unless a container's seccomp profile is older.
	if unix.CloseRange(3, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return nil
	}
	open, err := os.ReadDir("/proc/self/fd")
	for _, e := range open {
		if fd, _ := strconv.Atoi(e.Name()); fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return err
}

// End kills the container of an open run that the caller holds, and removes all that the run owns in
// containerd. A pipex-prune does it, so that a verb which rarely needs it links no client of
// containerd.
func (c *Call) End(ctx context.Context, id string) error {
	cmd, err := c.pruner(ctx, "--end="+id)
	if err != nil {
		return err
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	err = cmd.Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if text := strings.TrimSpace(said.String()); err != nil && text != "" {
		err = errors.New(strings.TrimPrefix(text, "pipex-prune: "))
	}
	return err
}

// pruner returns a pipex-prune for the place of this call, wherever it runs.
func (c *Call) pruner(ctx context.Context, args ...string) (*exec.Cmd, error) {
	path, err := c.sibling("pipex-prune")
	if err != nil {
		return nil, err
	}
	p := c.Place()
	workdir, err := filepath.Abs(p.Workdir)
	if err != nil {
		return nil, err
	}
	address, err := filepath.Abs(p.Socket())
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, append([]string{"--quiet", "--workdir=" + workdir, "--workspace=" + p.Workspace,
		"--address=" + address, "--namespace=" + p.Namespace, "--rpc-timeout=" + p.Patience.String()}, args...)...)
	cmd.Env = traced.Detached()
	return cmd, nil
}

// Puller returns the path of pipex-pull, or "", and its options for this call.
func (c *Call) Puller() run.Puller {
	options := []string{"--hosts-dir=" + c.String(HostsDir.Name)}
	for _, flag := range []string{"quiet", "verbose"} {
		if c.Bool(flag) {
			options = append(options, "--"+flag)
		}
	}
	path, _ := c.sibling("pipex-pull")
	return run.Puller{Path: path, Options: options}
}

// sibling returns the path of another verb: beside this program, or else on PATH.
func (c *Call) sibling(verb string) (string, error) {
	if self, err := os.Executable(); err == nil {
		path := filepath.Join(filepath.Dir(self), verb)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return exec.LookPath(verb)
}
