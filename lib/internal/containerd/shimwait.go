package containerd

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/api/runtime/task/v2"
	"github.com/containerd/ttrpc"
)

// shimExit asks the shim of a task how the task ended, and waits until it has. It is for
// the time that containerd is down: containerd 1.7 and 2, when they come back, remove a
// task that has ended meanwhile, and its status with it. An error means that the shim
// cannot be asked.
func (c *Client) shimExit(ctx context.Context, id string) (Exit, error) {
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return Exit{}, err
	}
	for _, process := range processes {
		if s, ok := c.shim(process); ok && s.ID == id {
			return s.exit(ctx)
		}
	}
	return Exit{}, fmt.Errorf("no shim of task %q", id)
}

// exit calls the shim's own service. Its messages are the same in versions 2 and 3.
func (s *Shim) exit(ctx context.Context) (Exit, error) {
	socket, version, err := s.endpoint()
	if err != nil {
		return Exit{}, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return Exit{}, err
	}
	client := ttrpc.NewClient(conn)
	defer client.Close()
	var r task.WaitResponse
	if err := client.Call(ctx, fmt.Sprintf("containerd.task.v%d.Task", version), "Wait", &task.WaitRequest{ID: s.ID}, &r); err != nil {
		return Exit{}, err
	}
	return Exit{Code: int(r.ExitStatus), At: r.ExitedAt.AsTime()}, nil
}

// endpoint finds the shim's socket in its bundle: in bootstrap.json since containerd 1.7,
// in the file address before.
func (s *Shim) endpoint() (socket string, version int, err error) {
	p := struct {
		Version           int
		Address, Protocol string
	}{Version: 2, Protocol: "ttrpc"}
	data, err := os.ReadFile(filepath.Join(s.bundle, "bootstrap.json"))
	if err == nil {
		err = json.Unmarshal(data, &p)
	} else if data, err = os.ReadFile(filepath.Join(s.bundle, "address")); err == nil {
		p.Address = strings.TrimSpace(string(data))
	}
	if err == nil && p.Protocol != "ttrpc" {
		err = fmt.Errorf("the shim speaks %q", p.Protocol)
	}
	return strings.TrimPrefix(p.Address, "unix://"), p.Version, err
}
