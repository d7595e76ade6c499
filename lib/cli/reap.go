package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Reap starts a pipex-prune in the background that removes what the runs own in containerd, and does
// not wait for it. The process has a new session, / as its working directory, and none of the
// caller's descriptors. So no pipe reader, no terminal and no make (for its jobserver) waits for it. If
// it does not start, or dies, the next prune does its work.
func (c *Call) Reap(ids []string) {
	if len(ids) == 0 {
		return
	}
	p := c.Place()
	workdir, err := filepath.Abs(p.Workdir)
	if err == nil {
		p.Address, err = filepath.Abs(strings.TrimPrefix(p.Address, "unix://"))
	}
	if err == nil {
		err = unix.CloseRange(3, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC)
	}
	path := c.sibling("pipex-prune")
	if err != nil || path == "" {
		return
	}
	args := []string{"--quiet", "--workdir=" + workdir, "--workspace=" + p.Workspace, "--address=" + p.Address, "--namespace=" + p.Namespace, "--rpc-timeout=" + p.Patience.String()}
	for _, id := range ids {
		args = append(args, "--reap="+id)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if cmd.Start() == nil {
		cmd.Process.Release()
	}
}

// sibling returns the path of another verb: beside this program, or else on PATH, or "" if it is not
// found.
func (c *Call) sibling(verb string) string {
	if self, err := os.Executable(); err == nil {
		path := filepath.Join(filepath.Dir(self), verb)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	path, err := exec.LookPath(verb)
	if err != nil {
		return ""
	}
	return path
}
