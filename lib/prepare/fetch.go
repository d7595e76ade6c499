package prepare

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
	"pipex/lib/internal/image"
	"pipex/lib/internal/trace"
	"pipex/lib/run"
)

// Wanted is an image that is to be fetched, and Fetch fetches it; see [image.Fetch].
type (
	Wanted = image.Wanted
	Fetch  = image.Fetch
)

// fetchPatience is the time that a program that fetches has to end after SIGTERM.
const fetchPatience = 10 * time.Second

// FetchBy returns a Fetch that runs pipex-pull, which is at path, with options. So a program
// that finds its image here does not link what pulls and unpacks. The program writes its progress
// and its errors to stderr, in the name of this one; if it fails, the error is a [*run.SaidError].
// It gets SIGTERM when ctx ends, and is killed when this process is.
func FetchBy(path string, options []string) Fetch {
	return func(ctx context.Context, to endpoint.Containerd, w Wanted) error {
		ctx, part := trace.Start(ctx, "image fetch", w.Ref)
		defer part.End()
		if path == "" {
			return fmt.Errorf("%w %q, and it cannot be fetched: no pipex-pull beside this program or on PATH", ErrNoImage, w.Ref)
		}
		to = to.WithDefaults()
		args := append(slices.Clone(options), "--address="+to.Address, "--namespace="+to.Namespace, "--rpc-timeout="+to.Patience.String(), "--pull="+string(w.Pull))
		if w.Platform != "" {
			args = append(args, "--platform="+w.Platform)
		}
		args = append(args, w.Ref)
		cmd := exec.CommandContext(ctx, path, args...)
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
			return &run.SaidError{Status: ended.ExitCode()}
		}
		if err != nil {
			return fmt.Errorf("%w %q, and it cannot be fetched: pipex-pull: %w", ErrNoImage, w.Ref, err)
		}
		return nil
	}
}

// noFetch is the Fetch of a caller who has none.
func noFetch(_ context.Context, to endpoint.Containerd, w Wanted) error {
	return fmt.Errorf("%w %q in containerd's namespace %q, and it may not be fetched", ErrNoImage, w.Ref, to.Namespace)
}
