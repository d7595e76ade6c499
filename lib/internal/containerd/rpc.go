package containerd

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"pipex/lib/internal/lazy"
	"pipex/lib/internal/trace"
)

// unbounded are the calls that take as long as a command runs, or as unpacking a layer
// takes.
var unbounded = map[string]bool{
	wait: true,
	"/containerd.services.diff.v1.Diff/Apply": true,
}

// late is the error of a call that took too long. Its code is that of a containerd that
// is not there.
func (c *Client) late() error {
	return rpcError{status.Newf(codes.Unavailable, "containerd at %q has not answered within %s", c.address, c.patience), true}
}

// transport is how gRPC describes a connection that broke or cannot be made. It has one
// code for that and for what containerd itself calls unavailable.
var transport = lazy.Regexp(`^(connection error|last connection error|error (reading from|writing to) server|closing transport|transport is closing|the connection is draining|the stream is rejected|received goaway|no active streams)`)

// rpcError is the status of a call with a message for people, without gRPC's own words
// around it.
type rpcError struct {
	status *status.Status
	lost   bool // containerd itself is not there
}

func (e rpcError) Error() string              { return e.status.Message() }
func (e rpcError) GRPCStatus() *status.Status { return e.status }

// plain makes an [rpcError] of the error of a call.
func (c *Client) plain(err error) error {
	s, ok := status.FromError(err)
	if err == nil || !ok || errors.As(err, new(rpcError)) {
		return err
	}
	if s.Code() == codes.Unavailable && transport().MatchString(s.Message()) {
		return rpcError{status.Newf(codes.Unavailable, "the connection to containerd at %q broke", c.address), true}
	}
	return rpcError{s, false}
}

// wait is a call that lasts as long as a command, which is a part of its own.
const wait = "/containerd.services.tasks.v1.Tasks/Wait"

// traced begins the part that is a call, and returns the function that ends it.
func traced(ctx context.Context, method string) (context.Context, func(error)) {
	if method == wait {
		return ctx, func(error) {}
	}
	ctx, part := trace.Start(ctx, strings.TrimPrefix(method, "/"))
	if part == nil {
		return ctx, func(error) {}
	}
	part.Call()
	service, name, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	part.Set("rpc.system", "grpc")
	part.Set("rpc.service", service)
	part.Set("rpc.method", name)
	return ctx, func(err error) {
		if errors.Is(err, io.EOF) {
			err = nil // of a stream
		}
		part.SetInt("rpc.grpc.status_code", int(status.Code(err)))
		if err != nil {
			part.Fail(err.Error())
		}
		part.End()
	}
}

// call bounds a call with one answer.
func (c *Client) call(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) (err error) {
	ctx, ended := traced(ctx, method)
	defer func() { ended(err) }()
	if unbounded[method] {
		return c.plain(invoke(ctx, method, req, reply, cc, opts...))
	}
	limited, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	end, _ := limited.Deadline()
	callers, has := ctx.Deadline()
	err = invoke(limited, method, req, reply, cc, opts...)
	// containerd knows how long we wait, and may be the first to say that it was too long.
	late := limited.Err() != nil || status.Code(err) == codes.DeadlineExceeded
	if err != nil && late && ctx.Err() == nil && !(has && callers.Equal(end)) {
		return c.late()
	}
	return c.plain(err)
}

// stream bounds each answer of a stream. The whole of it may take as long as the data
// needs.
func (c *Client) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	ctx, cancel := context.WithCancel(ctx)
	ctx, ended := traced(ctx, method)
	s := &stream{client: c, cancel: cancel, ended: ended}
	err := s.bounded(func() (err error) {
		s.ClientStream, err = open(ctx, desc, cc, method, opts...)
		return err
	})
	return s, err
}

// lost changes the code of a stream's error. containerd's packages try again after
// "unavailable", without end: for them it means that another client writes the blob.
func lost(err error) error {
	var e rpcError
	if errors.As(err, &e) && e.lost {
		return rpcError{status.New(codes.Aborted, e.Error()), true}
	}
	return err
}

type stream struct {
	grpc.ClientStream
	client *Client
	cancel context.CancelFunc
	once   sync.Once
	ended  func(error)
}

func (s *stream) RecvMsg(m any) error {
	return s.bounded(func() error { return s.ClientStream.RecvMsg(m) })
}

// SendMsg returns why the stream has ended, if it has. gRPC gives the reason to the next
// receiver only, and containerd's package that writes content does not ask.
func (s *stream) SendMsg(m any) error {
	err := s.ClientStream.SendMsg(m)
	if errors.Is(err, io.EOF) {
		if why := s.RecvMsg(new(emptypb.Empty)); why != nil {
			err = why
		}
	}
	return err
}

func (s *stream) bounded(do func() error) error {
	var late atomic.Bool
	timer := time.AfterFunc(s.client.patience, func() {
		late.Store(true)
		s.cancel()
	})
	defer timer.Stop()
	err := do()
	if err != nil {
		s.cancel() // the stream has ended
		s.once.Do(func() { s.ended(err) })
	}
	if err != nil && late.Load() {
		err = s.client.late()
	}
	return lost(s.client.plain(err))
}
