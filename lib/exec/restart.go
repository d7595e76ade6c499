package exec

import (
	"context"
	"fmt"
	"os"
	"strings"

	"pipex/lib/workspace"
)

// bootID returns the name of the time since the start of this machine; "" if the kernel
// does not tell it.
func bootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id))
}

// restarted reports whether this machine was started after the exec r, or is another one.
func restarted(r *workspace.Exec) bool { return r.BootID != "" && r.BootID != bootID() }

// renew removes what earlier execs wrote to the container's root if the machine was restarted
// since. It was not synced, so after a power cut a part of it may be missing.
func (x *execution) renew(ctx context.Context) error {
	if len(x.meta.Execs) == 0 || !restarted(x.record()) {
		return nil
	}
	x.Warning(fmt.Errorf("what earlier execs of run %q wrote outside its output and caches is gone: they ran on another machine, or before this one was restarted", x.run.ID))
	return x.client.RemoveSnapshots(ctx, x.meta.Container.ID)
}
