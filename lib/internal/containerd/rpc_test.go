package containerd

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/errdefs"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"pipex/lib/internal/endpoint"
)

// short is how patient the clients of these tests are, and long is what no test takes.
const (
	short = 60 * time.Millisecond
	long  = 10 * time.Second
)

// peer starts a server that answers every call as handle does, whatever the call is, and
// returns a client of it. It is no containerd: what it tests is that a call ends.
func peer(t *testing.T, handle func(grpc.ServerStream) error) (*Client, *grpc.Server) {
	t.Helper()
	address := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error { return handle(s) }))
	go server.Serve(l)
	t.Cleanup(server.Stop)
	c, err := Connect(t.Context(), endpoint.Containerd{Address: address, Patience: short})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, server
}

// silent never answers.
func silent(s grpc.ServerStream) error {
	<-s.Context().Done()
	return s.Context().Err()
}

// timed returns what do returns, which must have taken less than long.
func timed(t *testing.T, do func() error) (time.Duration, error) {
	t.Helper()
	began := time.Now()
	err := do()
	took := time.Since(began)
	if took > long {
		t.Errorf("it took %s", took)
	}
	return took, err
}

func drop(ctx context.Context, c *Client) error {
	_, err := leasesapi.NewLeasesClient(c.Conn).Delete(ctx, &leasesapi.DeleteRequest{ID: "x"})
	return err
}

// readTo reads a stream to its end, and returns how many messages it had.
func readTo(ctx context.Context, c *Client) (n int, err error) {
	s, err := contentapi.NewContentClient(c.Conn).Read(ctx, &contentapi.ReadContentRequest{})
	for err == nil {
		if _, err = s.Recv(); err == nil {
			n++
		}
	}
	return n, err
}

// A call that is not answered ends after its bound, and the error says who did not answer
// and for how long: with one answer, and with many.
func TestCallsEndWithinTheirBound(t *testing.T) {
	c, _ := peer(t, silent)
	for what, call := range map[string]func() error{
		"one answer": func() error { return drop(t.Context(), c) },
		"a stream":   func() error { _, err := readTo(t.Context(), c); return err },
	} {
		took, err := timed(t, call)
		if err == nil || took < short || !strings.Contains(err.Error(), c.address) || !strings.Contains(err.Error(), "within "+short.String()) {
			t.Errorf("%s, after %s: %v", what, took, err)
		}
		if strings.Contains(err.Error(), "rpc error") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: gRPC's own words: %v", what, err)
		}
	}
	if _, err := timed(t, func() error { return drop(t.Context(), c) }); !errdefs.IsUnavailable(errdefs.FromGRPC(err)) {
		t.Errorf("it is not as a containerd that is not there: %v", err)
	}
}

// The calls without a bound wait as long as the caller does.
func TestUnboundedCallsWait(t *testing.T) {
	reached := make(chan struct{}, 100)
	c, _ := peer(t, func(s grpc.ServerStream) error {
		reached <- struct{}{}
		return silent(s)
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := tasksapi.NewTasksClient(c.Conn).Wait(ctx, &tasksapi.WaitRequest{})
		ended <- err
	}()
	<-reached
	for range 2 { // each begins later, and ends at its bound
		if _, err := timed(t, func() error { return drop(t.Context(), c) }); err == nil {
			t.Error("a call without an answer succeeds")
		}
	}
	select {
	case err := <-ended:
		t.Errorf("it has ended: %v", err)
		return
	default:
	}
	cancel()
	if _, err := timed(t, func() error { return <-ended }); status.Code(err) != codes.Canceled {
		t.Error(err)
	}
}

// A caller who gives up is told that, and not that containerd is late.
func TestTheCallersOwnEnd(t *testing.T) {
	c, _ := peer(t, silent)
	c.patience = long // a slow machine must not reach both ends at once
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	soon, cancel := context.WithTimeout(t.Context(), short/2)
	defer cancel()
	for ctx, code := range map[context.Context]codes.Code{ended: codes.Canceled, soon: codes.DeadlineExceeded} {
		if _, err := timed(t, func() error { return drop(ctx, c) }); status.Code(err) != code || strings.Contains(err.Error(), "has not answered") {
			t.Errorf("%v: %v", code, err)
		}
		if _, err := timed(t, func() error { _, err := readTo(ctx, c); return err }); err == nil || strings.Contains(err.Error(), "has not answered") {
			t.Errorf("%v, a stream: %v", code, err)
		}
	}
}

// A stream may take longer than the bound, as long as each answer comes within it. Here the
// clock is synctest's, so the result does not depend on the machine's load.
func TestStreamsAreBoundedByTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const answers = 6
		c := &Client{address: "a", patience: short}
		open := func(ctx context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
			return &slow{ctx: ctx, each: short / 3, left: answers}, nil
		}
		began := time.Now()
		s, err := c.stream(t.Context(), new(grpc.StreamDesc), nil, "/service/method", open)
		n := 0
		for err == nil {
			if err = s.RecvMsg(new(emptypb.Empty)); err == nil {
				n++
			}
		}
		if took := time.Since(began); n != answers || took != answers*short/3+short || !strings.Contains(err.Error(), "has not answered") {
			t.Errorf("%d answers in %s: %v", n, took, err)
		}
	})
}

// slow is a stream whose answers take a while each. After the last it waits for its context.
type slow struct {
	grpc.ClientStream
	ctx  context.Context
	each time.Duration
	left int
}

func (s *slow) RecvMsg(any) error {
	if s.left--; s.left < 0 {
		<-s.ctx.Done()
		return status.FromContextError(s.ctx.Err()).Err()
	}
	time.Sleep(s.each)
	return nil
}

// What containerd itself answers keeps its code and its words.
func TestErrorsOfContainerd(t *testing.T) {
	for _, want := range []*status.Status{
		status.New(codes.NotFound, `lease "x": not found`),
		status.New(codes.Unavailable, "ref is locked: unavailable"),
		status.New(codes.DeadlineExceeded, ""), // is late, see below
		status.New(codes.Unknown, "the connection error of somebody else"),
	} {
		c, _ := peer(t, func(grpc.ServerStream) error { return want.Err() })
		err := drop(t.Context(), c)
		if want.Code() == codes.DeadlineExceeded {
			if !strings.Contains(err.Error(), "has not answered") {
				t.Errorf("containerd was the first to say that it is late: %v", err)
			}
			continue
		}
		if status.Code(err) != want.Code() || err.Error() != want.Message() {
			t.Errorf("%v, want %v", err, want)
		}
		if _, err := readTo(t.Context(), c); status.Code(err) != want.Code() || err.Error() != want.Message() {
			t.Errorf("a stream: %v, want %v", err, want)
		}
	}
}

// A connection that breaks during a call ends it, before the bound, with an error that
// says so; another call makes a new connection, or says so again.
func TestConnectionsThatBreak(t *testing.T) {
	reached := make(chan struct{}, 100)
	c, server := peer(t, func(s grpc.ServerStream) error {
		reached <- struct{}{}
		return silent(s)
	})
	c.patience = long
	ended := make(chan error, 2)
	go func() { ended <- drop(t.Context(), c) }()
	go func() {
		_, err := readTo(t.Context(), c)
		ended <- err
	}()
	for range 2 {
		select {
		case <-reached:
		case <-time.After(long):
			t.Fatal("the calls did not arrive")
		}
	}
	server.Stop()
	for range 2 {
		if _, err := timed(t, func() error { return <-ended }); err == nil || !strings.Contains(err.Error(), "the connection to containerd at") || !strings.Contains(err.Error(), "broke") {
			t.Errorf("%v", err)
		}
	}
	if _, err := timed(t, func() error { return drop(t.Context(), c) }); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("nobody is there: %v", err)
	}
}

// A client that has been closed fails at once.
func TestClosedClient(t *testing.T) {
	c, _ := peer(t, silent)
	c.Close()
	c.patience = long
	if took, err := timed(t, func() error { return drop(t.Context(), c) }); err == nil || took > long/2 {
		t.Errorf("after %s: %v", took, err)
	}
}

// A containerd that takes connections and never says a word is reached, and each call to
// it is bounded all the same.
func TestSilentSocket(t *testing.T) {
	address := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var c *Client
	if _, err := timed(t, func() (err error) {
		c, err = Connect(t.Context(), endpoint.Containerd{Address: address, Patience: short})
		return err
	}); err != nil {
		if !errors.Is(err, ErrUnreachable) {
			t.Error(err)
		}
		return
	}
	defer c.Close()
	if _, err := timed(t, func() error { return drop(t.Context(), c) }); err == nil || strings.Contains(err.Error(), "rpc error") {
		t.Errorf("%v", err)
	}
}

// The lease of a fetch has no life of its own: when the call that makes it fails, nobody
// listens at its name any more.
func TestFetchThatCannotBeLeased(t *testing.T) {
	c, _ := peer(t, func(grpc.ServerStream) error { return status.Error(codes.Internal, "full") })
	before := sockets(t)
	ctx, done, err := c.LeaseFetch(t.Context())
	if err == nil || ctx != nil || done != nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("%v, %v", ctx, err)
	}
	for name := range sockets(t) {
		if !before[name] {
			t.Errorf("%s is left", name)
		}
	}
}

// sockets are the abstract sockets of fetches on this machine that this process holds
// (unix(7)).
func sockets(t *testing.T) map[string]bool {
	t.Helper()
	descriptors, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	own := map[string]bool{}
	for _, d := range descriptors {
		target, _ := os.Readlink("/proc/self/fd/" + d.Name())
		own[target] = true
	}
	table, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) == 8 && own["socket:["+fields[6]+"]"] && strings.HasPrefix(fields[7], "@pipex-fetch-") {
			found[fields[7]] = true
		}
	}
	return found
}
