package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Reap starts a reaper in the background: a pipex-prune that removes what the runs own
// in containerd. It is a session of its own, in no directory of anybody's, with none of
// the caller's descriptors, so that nobody waits for it: not the reader of a pipe, not a
// terminal, not make for its jobserver. Should it not start, or die, the next prune does
// its work.
func (c *Call) Reap(ids []string) {
	if len(ids) == 0 {
		return
	}
	p := c.Place()
	workdir, err := filepath.Abs(p.Workdir)
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

// sibling is the path of another verb: beside this one, or else on PATH; empty if it is
// not there.
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
