// Package proxy stands between a client and a real containerd, passes gRPC on,
// and breaks one call. It is for tests: no verb links it.
//
// What it guarantees:
//
//   - It knows no message: each call, unary or streaming, is passed on byte for
//     byte, with its metadata, deadline, trailers and status, errors included.
//   - Calls are numbered from 1 in the order in which they arrive, and
//     [Proxy.Calls] names their methods in that order.
//   - A fault strikes exactly the calls that it is for. With [Before] containerd never
//     sees the call. With [After] it has answered, and the client gets nothing of
//     that answer.
//   - A client that gives up, by its deadline or by going away, is seen by
//     containerd as if nothing stood between them.
//
// What it does not:
//
//   - All clients share one connection to containerd. Cutting a client's connection
//     cancels that client's calls, and leaves the connection to containerd alone.
//   - Headers reach the client together with the first answer, not earlier.
//   - The first answer of a stream counts as its answer: After strikes there.
//   - A client that makes calls at once decides their order, not the proxy:
//     [Proxy.Struck] tells which method it was.
//   - What a program does by the path of containerd's socket, such as looking for
//     the shims that work for it, does not work by the path of the proxy's.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// When is the moment of a call at which a fault strikes.
type When int

const (
	Before When = iota // containerd does not get the call
	During             // containerd has got the call and not answered yet
	After              // containerd has answered, and the answer is lost
)

// Action is what a fault does.
type Action int

const (
	Fail  Action = iota // the call fails with Fault.Code
	Hang                // the call is never answered
	Cut                 // the client's connection is closed, for all its calls
	Delay               // the call goes on after Fault.For; nothing is lost
)

// Fault is what becomes of a call.
type Fault struct {
	When   When
	Action Action
	// Code is the status of a call that fails, Internal if it is not set.
	Code codes.Code
	// For is how long Delay waits. For the others it is how long after the call was
	// passed on During strikes, or when containerd answers, whichever is first.
	For time.Duration
	// Lasting strikes every later call too.
	Lasting bool
}

// Reason is the message of a call that was made to fail.
const Reason = "the proxy was told to fail this call"

// Proxy listens on a socket of its own.
type Proxy struct {
	server   *grpc.Server
	upstream *grpc.ClientConn
	socket   *listener

	mu     sync.Mutex
	calls  []string
	at     int
	fault  *Fault
	struck string
}

// Start listens on the unix socket, passes on to the one of target, and breaks
// nothing until it is told to.
func Start(socket, target string) (*Proxy, error) {
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %q: %w", socket, err)
	}
	upstream, err := grpc.NewClient("unix://"+target,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{}), grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)))
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("cannot reach %q: %w", target, err)
	}
	p := &Proxy{upstream: upstream, socket: &listener{Listener: l, open: map[net.Conn]bool{}}}
	p.server = grpc.NewServer(
		grpc.ForceServerCodec(raw{}),
		grpc.UnknownServiceHandler(p.handle),
		grpc.Creds(known{insecure.NewCredentials()}),
		grpc.MaxRecvMsgSize(math.MaxInt32), grpc.MaxSendMsgSize(math.MaxInt32))
	go p.server.Serve(p.socket)
	return p, nil
}

// Close ends all calls and connections.
func (p *Proxy) Close() {
	p.server.Stop()
	p.upstream.Close()
}

// Break forgets all calls so far and has the n-th one from now on meet the fault.
func (p *Proxy) Break(n int, f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls, p.at, p.fault, p.struck = nil, n, &f, ""
}

// Pass forgets all calls so far and breaks no more of them.
func (p *Proxy) Pass() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls, p.fault, p.struck = nil, nil, ""
}

// Mend breaks no more calls, and forgets none.
func (p *Proxy) Mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = nil
}

// Cut closes the connections of all clients, once.
func (p *Proxy) Cut() { p.socket.cut() }

// Calls are the methods called since the last Break or Pass, in order, such as
// "/containerd.services.tasks.v1.Tasks/Create".
func (p *Proxy) Calls() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.calls...)
}

// Struck is the method of the call that met the fault, the first one if there
// were several; empty if none did.
func (p *Proxy) Struck() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.struck
}

// record notes a call and returns the fault that it is to meet, nil for none.
func (p *Proxy) record(method string) *Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, method)
	n := len(p.calls)
	if p.fault == nil || n != p.at && !(p.fault.Lasting && n > p.at) {
		return nil
	}
	if n == p.at {
		p.struck = method
	}
	return p.fault
}

// handle passes one call on.
func (p *Proxy) handle(_ any, down grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(down)
	fault := p.record(method)
	if fault != nil && fault.When == Before {
		if err := fault.strike(down.Context()); err != nil {
			return err
		}
		fault = nil
	}
	ctx, cancel := context.WithCancel(down.Context())
	defer cancel()
	md, _ := metadata.FromIncomingContext(ctx)
	up, err := p.upstream.NewStream(metadata.NewOutgoingContext(ctx, md), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err != nil {
		return err
	}
	sent := make(chan struct{})
	go func() {
		if send(up, down, sent) != nil {
			cancel()
		}
	}()
	answer, err := first(up, fault, sent)
	if fault != nil {
		if err := fault.strike(down.Context()); err != nil {
			return err
		}
	}
	return reply(down, up, answer, err)
}

// send passes on what the client sends. It closes sent after the first message, or
// when there will be none.
func send(up grpc.ClientStream, down grpc.ServerStream, sent chan struct{}) error {
	once := sync.OnceFunc(func() { close(sent) })
	defer once()
	for {
		var m message
		err := down.RecvMsg(&m)
		if errors.Is(err, io.EOF) {
			return up.CloseSend()
		}
		if err != nil {
			return err
		}
		if up.SendMsg(&m) != nil {
			return nil // the call has ended; its status tells why
		}
		once()
	}
}

// first waits for the first answer, or until a fault strikes before that.
func first(up grpc.ClientStream, fault *Fault, sent <-chan struct{}) (*message, error) {
	type result struct {
		message *message
		err     error
	}
	answered := make(chan result, 1)
	go func() {
		m := new(message)
		err := up.RecvMsg(m)
		answered <- result{m, err}
	}()
	if fault != nil && fault.When == During && fault.Action != Delay {
		<-sent
		select {
		case <-time.After(fault.For):
			return nil, nil // strike ends the call
		case r := <-answered:
			return r.message, r.err
		}
	}
	r := <-answered
	return r.message, r.err
}

// reply passes on what containerd answers, from the first answer on: a message,
// or the end of the call.
func reply(down grpc.ServerStream, up grpc.ClientStream, m *message, err error) error {
	if header, headerErr := up.Header(); headerErr == nil {
		down.SetHeader(header)
	}
	for err == nil {
		if err := down.SendMsg(m); err != nil {
			return err
		}
		m = new(message)
		err = up.RecvMsg(m)
	}
	down.SetTrailer(up.Trailer())
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// strike does what the fault is; the call goes on only if it returns nil.
func (f *Fault) strike(ctx context.Context) error {
	switch f.Action {
	case Delay:
		select {
		case <-time.After(f.For):
			return nil
		case <-ctx.Done():
		}
	case Hang:
		<-ctx.Done()
	case Cut:
		if from, ok := peer.FromContext(ctx); ok {
			from.AuthInfo.(client).Close()
		}
		<-ctx.Done()
	default:
		code := f.Code
		if code == codes.OK {
			code = codes.Internal
		}
		return status.Error(code, Reason)
	}
	return status.FromContextError(ctx.Err()).Err()
}

// message is a message of a call, whatever it says.
type message struct{ data []byte }

// raw passes messages on as they are. It goes by the name of what containerd
// speaks, which is part of each call's content type.
type raw struct{}

func (raw) Name() string                       { return "proto" }
func (raw) Marshal(v any) ([]byte, error)      { return v.(*message).data, nil }
func (raw) Unmarshal(data []byte, v any) error { v.(*message).data = data; return nil }

// known tells each call its client's connection: there is no other way from a call
// to the connection that it came by.
type known struct {
	credentials.TransportCredentials
}

type client struct {
	net.Conn
}

func (client) AuthType() string { return "none" }

func (known) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return c, client{c}, nil
}

// listener knows the connections that are open.
type listener struct {
	net.Listener
	mu   sync.Mutex
	open map[net.Conn]bool
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c = &conn{c, l}
	l.open[c] = true
	return c, nil
}

func (l *listener) cut() {
	l.mu.Lock()
	var all []net.Conn
	for c := range l.open {
		all = append(all, c)
	}
	l.mu.Unlock()
	for _, c := range all {
		c.Close()
	}
}

type conn struct {
	net.Conn
	listener *listener
}

func (c *conn) Close() error {
	c.listener.mu.Lock()
	delete(c.listener.open, c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}
