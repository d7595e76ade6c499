package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"time"

	"pipex/lib/internal/endpoint"
	"pipex/lib/internal/trace"
)

// Puller is pipex-pull, and the options that it gets. A program that starts it does not link
// what pulls and unpacks images.
type Puller struct {
	Path    string
	Options []string
}

// fetchPatience is the time that a program that fetches has to end after SIGTERM.
const fetchPatience = 10 * time.Second

// Fetch runs the program for the image ref, with more options. It writes its progress and its errors
// to stderr, in the name of this program; if it fails, the error is a [*SaidError]. It gets
// SIGTERM when ctx ends, and is killed when this process is.
func (p Puller) Fetch(ctx context.Context, to endpoint.Containerd, ref string, options ...string) error {
	ctx, part := trace.Start(ctx, "image fetch", ref)
	defer part.End()
	if p.Path == "" {
		return errors.New("it cannot be fetched: no pipex-pull beside this program or on PATH")
	}
	to = to.WithDefaults()
	args := append(slices.Clone(p.Options), "--address="+to.Address, "--namespace="+to.Namespace, "--rpc-timeout="+to.Patience.String())
	cmd := exec.CommandContext(ctx, p.Path, append(append(args, options...), ref)...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(trace.Environ(), "CONTAINERD_SNAPSHOTTER="+to.Snapshotter)
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = fetchPatience
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	// The kernel means the death of the thread that has started the program.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Run()
	if ended := new(exec.ExitError); errors.As(err, &ended) && ended.Exited() {
		return &SaidError{Status: ended.ExitCode()}
	}
	if err != nil {
		return fmt.Errorf("it cannot be fetched: pipex-pull: %w", err)
	}
	return nil
}
