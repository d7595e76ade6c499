// Package containerd creates and removes what a run owns in containerd: a lease, a
// snapshot, a container and its task, all under one id. It does not use the workspace.
//
// It uses containerd's API stubs and not its client library, so that a program that only
// removes a lease starts fast. Package oci says what a container runs; package image
// fetches images.
//
// Every call has a time limit; see [endpoint.Containerd].
package containerd

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	containersapi "github.com/containerd/containerd/api/services/containers/v1"
	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/namespaces"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	"pipex/lib/internal/endpoint"
	"pipex/lib/internal/trace"
)

// ErrUnreachable says that no containerd answers at the address.
var ErrUnreachable = endpoint.ErrUnreachable

// Client is a connection to one namespace of a containerd. Its methods add the namespace
// to their context. They are safe for concurrent use.
type Client struct {
	Conn        *grpc.ClientConn
	Namespace   string
	Snapshotter string
	address     string                   // the socket's path
	patience    time.Duration            // bounds each call
	first       atomic.Pointer[net.Conn] // the connection that gRPC is to take first
}

// maxMessage is the greatest size of one message, in bytes; containerd's own client has
// the same limit.
const maxMessage = 16 << 20

// Connect connects to a containerd. The error wraps [ErrUnreachable] if none answers.
func Connect(ctx context.Context, to endpoint.Containerd) (*Client, error) {
	ctx, part := trace.Start(ctx, "containerd connect")
	defer part.End()
	to = to.WithDefaults()
	// gRPC retries and does not return the reason why it cannot connect. The first connection
	// is made here, and does.
	first, err := to.Dial(ctx)
	if err != nil {
		return nil, err
	}
	c := &Client{Namespace: to.Namespace, Snapshotter: to.Snapshotter, address: to.Socket(), patience: to.Patience}
	c.first.Store(&first)
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		if first := c.first.Swap(nil); first != nil {
			return socket{*first}, nil
		}
		conn, err := to.Dial(ctx)
		return socket{conn}, err
	}
	c.Conn, err = grpc.NewClient("passthrough:///"+c.address,
		grpc.WithContextDialer(dial),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, MaxDelay: time.Second},
			MinConnectTimeout: time.Second,
		}),
		grpc.WithUnaryInterceptor(c.call),
		grpc.WithStreamInterceptor(c.stream),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)))
	if err != nil {
		first.Close()
		return nil, to.Unreachable(err)
	}
	// Now, while the caller prepares its first call; containerd closes a connection that says
	// nothing for long.
	c.Conn.Connect()
	return c, nil
}

// socket is a connection that is closed after the first write that fails. gRPC only closes
// it after a failed read, so if only writing fails, it would wait for ever.
type socket struct{ net.Conn }

func (s socket) Write(data []byte) (int, error) {
	n, err := s.Conn.Write(data)
	if err != nil {
		s.Close()
	}
	return n, err
}

// Close closes the connection. It removes nothing from containerd.
func (c *Client) Close() {
	c.Conn.Close()
	if first := c.first.Swap(nil); first != nil {
		(*first).Close() // gRPC has not come so far
	}
}

// Context returns ctx with the namespace added.
func (c *Client) Context(ctx context.Context) context.Context {
	return namespaces.WithNamespace(ctx, c.Namespace)
}

func (c *Client) containers() containersapi.ContainersClient {
	return containersapi.NewContainersClient(c.Conn)
}

func (c *Client) tasks() tasksapi.TasksClient { return tasksapi.NewTasksClient(c.Conn) }
