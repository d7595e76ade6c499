package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"
)

// ErrUnreachable says that no containerd answers at the address, or that it refuses the
// caller.
var ErrUnreachable = errors.New("cannot reach containerd")

// Socket returns the path of the socket.
func (c Containerd) Socket() string { return strings.TrimPrefix(c.WithDefaults().Address, "unix://") }

// Reach connects to the socket and closes the connection again. Its error is that of Dial.
func (c Containerd) Reach(ctx context.Context) error {
	conn, err := c.Dial(ctx)
	if err != nil {
		return err
	}
	return conn.Close()
}

// Dial connects to the socket. The error wraps [ErrUnreachable] and says why nothing can be
// reached, and what to do: something else if permission is denied than if there is no
// containerd.
func (c Containerd) Dial(ctx context.Context) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", c.Socket())
	if err != nil {
		return nil, c.Unreachable(err)
	}
	return conn, nil
}

// Unreachable is the error for a connection that failed with err.
func (c Containerd) Unreachable(err error) error {
	c = c.WithDefaults()
	why := "no answer"
	var errno syscall.Errno
	if errors.As(err, &errno) {
		why = errno.Error()
	}
	hint := c.Start
	if errors.Is(err, fs.ErrPermission) {
		hint = "use sudo, or " + c.Start
	}
	return fmt.Errorf("%w at %q: %s; %s", ErrUnreachable, c.Address, why, hint)
}
