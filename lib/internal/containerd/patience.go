package containerd

import (
	"context"
	"fmt"
	"path"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// patience is the time limit of each call. It also replaces gRPC's errors about connections
// with readable ones.
type patience time.Duration

// unbounded are the calls without a time limit: they take as long as a command runs or as
// the size of a layer demands.
var unbounded = map[string]bool{
	"/containerd.services.tasks.v1.Tasks/Wait":      true,
	"/containerd.services.diff.v1.Diff/Apply":       true,
	"/containerd.services.content.v1.Content/Write": true,
}

func (p patience) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if unbounded[method] {
		return p.words(ctx, method, invoke(ctx, method, req, reply, cc, opts...))
	}
	bounded, cancel := context.WithTimeout(ctx, time.Duration(p))
	defer cancel()
	return p.words(ctx, method, invoke(bounded, method, req, reply, cc, opts...))
}

func (p patience) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if unbounded[method] {
		return open(ctx, desc, cc, method, opts...)
	}
	bounded, cancel := context.WithTimeout(ctx, time.Duration(p))
	s, err := open(bounded, desc, cc, method, opts...)
	if err != nil {
		cancel()
		return nil, p.words(ctx, method, err)
	}
	return &stream{s, p, ctx, method, cancel}, nil
}

// stream stops its timer when it ends.
type stream struct {
	grpc.ClientStream
	patience patience
	ctx      context.Context
	method   string
	cancel   func()
}

func (s *stream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err != nil {
		s.cancel()
		err = s.patience.words(s.ctx, s.method, err)
	}
	return err
}

// words replaces the two errors that do not come from containerd: no answer in time, and a
// lost connection.
func (p patience) words(ctx context.Context, method string, err error) error {
	switch status.Code(err) {
	case codes.DeadlineExceeded:
		if ctx.Err() == nil {
			return status.Error(codes.DeadlineExceeded, fmt.Sprintf("containerd has not answered %q within %s", path.Base(method), time.Duration(p)))
		}
	case codes.Unavailable:
		return status.Error(codes.Unavailable, "the connection to containerd was lost")
	}
	return err
}
