package exec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/containerd/containerd/errdefs"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/endpoint"
	"pipex/lib/internal/version"
	"pipex/lib/run"
	"pipex/lib/workspace"
)

// bootID returns the name of the time since the start of this machine; "" if the kernel
// does not tell it.
func bootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id))
}

// hostname returns the name of this machine, or "".
func hostname() string {
	name, _ := os.Hostname()
	return name
}

// restarted reports whether this machine was started after the exec r, or is another one, or this
// containerd is another one.
func (x *execution) restarted(ctx context.Context, r *workspace.Exec) bool {
	return r.BootID != "" && r.BootID != bootID() || x.elsewhere(ctx, r)
}

// elsewhere reports whether the exec r was on another machine or in another containerd. One with another address is this one if it
// has the container's root: a socket may have several paths.
func (x *execution) elsewhere(ctx context.Context, r *workspace.Exec) bool {
	switch {
	case r.Host == "" || r.Host == hostname() && r.Address == x.Socket():
		return false
	case r.Host != hostname():
		return true
	}
	_, err := x.client.SnapshotService(x.client.Snapshotter).Stat(x.client.Context(ctx), x.meta.Container.ID)
	return errdefs.IsNotFound(err)
}

// executing returns an error if the last exec may be running elsewhere: this containerd does not
// know.
func (x *execution) executing(ctx context.Context) error {
	r := x.record()
	if r.FinishedAt != nil || !x.elsewhere(ctx, r) {
		return nil
	}
	return fmt.Errorf("run %q %w on %q, in containerd at %q, whose pipex-exec has died: pipex-exec %s there attaches to it; or pipex-discard %s",
		x.run.ID, errExecuting, r.Host, r.Address, x.run.ID, x.run.ID)
}

// renew removes what earlier execs wrote to the container's root if the machine was restarted
// since. It was not synced, so after a power cut a part of it may be missing.
func (x *execution) renew(ctx context.Context) error {
	if len(x.meta.Execs) == 0 || !x.restarted(ctx, x.record()) {
		return nil
	}
	x.Warning(fmt.Errorf("what earlier execs of run %q wrote outside its output and caches is gone: they ran on another machine, or before this one was restarted", x.run.ID))
	return x.client.RemoveSnapshots(ctx, x.meta.Container.ID)
}

// lease leases the image in this containerd, which is not that of prepare, or has lost it. It fetches
// the image by its digest if it is missing.
func (x *execution) lease(ctx context.Context) error {
	m := x.meta
	owner := containerd.Owner{Workspace: x.ws.ID, Workdir: x.ws.Root, Run: x.run.ID, Step: m.StepID, Job: x.Job, Version: version.String()}
	if err := x.client.Lease(ctx, containerd.Object{ID: m.Container.ID, Owner: owner}, m.ImageDigest); err != nil {
		return err
	}
	// With its layers unpacked there is nothing to fetch, whatever name it has. The container's root, which is made next,
	// protects them.
	_, err := x.client.SnapshotService(x.client.Snapshotter).Stat(x.client.Context(ctx), m.Container.ChainID)
	if !errdefs.IsNotFound(err) {
		return err
	}
	ref, _, _ := strings.Cut(m.Image, "@")
	if x.Fetch == nil {
		return fmt.Errorf("containerd at %q does not have image %q of run %q", x.Socket(), ref, x.run.ID)
	}
	waiting, done := Interruptible(ctx, x.Signals)
	err = x.Fetch(waiting, x.Containerd, ref+"@"+m.ImageDigest, m.Platform)
	if interrupted := done(); interrupted != nil {
		return interrupted
	}
	if said := new(run.SaidError); errors.As(err, &said) {
		return fmt.Errorf("containerd at %q does not have image %q of run %q, and cannot get it", x.Socket(), ref, x.run.ID)
	}
	if err != nil {
		return fmt.Errorf("containerd at %q does not have image %q of run %q, and cannot get it: %w", x.Socket(), ref, x.run.ID, err)
	}
	return nil
}

// FetchBy returns a function for Options.Fetch that runs pipex-pull, which pulls when is said.
func FetchBy(by run.Puller, when string) func(ctx context.Context, to endpoint.Containerd, ref, platform string) error {
	return func(ctx context.Context, to endpoint.Containerd, ref, platform string) error {
		options := []string{"--pull=" + when}
		if platform != "" {
			options = append(options, "--platform="+platform)
		}
		return by.Fetch(ctx, to, ref, options...)
	}
}
