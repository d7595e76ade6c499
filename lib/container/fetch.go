package container

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/containerd/leases"
)

// labelFetch says which process fetches an image under a lease: host, pid, and
// when it started, since pids come back.
const labelFetch = "pipex.fetch"

// fetchExpiry is when containerd drops the lease of a fetch whose process died
// by itself, as it does those of its own client.
const fetchExpiry = 24 * time.Hour

// FetchLease is how to lease what an image is fetched into, until it has a name:
// by this process, and no longer than it lives. See [Client.DropFetches].
func FetchLease() []leases.Opt {
	host, _ := os.Hostname()
	label := fmt.Sprintf("%s %d %s", host, os.Getpid(), started(os.Getpid()))
	return []leases.Opt{
		leases.WithRandomID(), leases.WithExpiration(fetchExpiry), leases.WithLabels(map[string]string{labelFetch: label}),
	}
}

// DropFetches drops the leases of fetches whose process, on this machine, died.
func (c *Client) DropFetches(ctx context.Context) error {
	ctx = c.context(ctx)
	held, err := c.leases().List(ctx, "labels."+strconv.Quote(labelFetch))
	if err != nil {
		return fmt.Errorf("cannot list leases: %w", err)
	}
	host, _ := os.Hostname()
	for _, l := range held {
		by := strings.Fields(l.Labels[labelFetch])
		if len(by) != 3 || by[0] != host {
			continue
		}
		if pid, err := strconv.Atoi(by[1]); err != nil || started(pid) == by[2] {
			continue
		}
		if err := c.leases().Delete(ctx, l); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("cannot drop lease %q: %w", l.ID, err)
		}
	}
	return nil
}

// started is when a process started, in clock ticks since the machine did: the
// 22nd field of proc(5)'s stat, the second of which may hold anything.
func started(pid int) string {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	if len(fields) < 20 {
		return ""
	}
	return fields[19]
}
