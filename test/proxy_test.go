package test

import (
	"bytes"
	"context"
	"crypto/rand"
	"path/filepath"
	"slices"
	"testing"
	"time"

	containerdclient "github.com/containerd/containerd"
	"github.com/containerd/containerd/content"
	"github.com/containerd/containerd/leases"
	"github.com/containerd/containerd/namespaces"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	eventsapi "github.com/containerd/containerd/api/services/events/v1"
	leasesapi "github.com/containerd/containerd/api/services/leases/v1"

	"pipex/test/proxy"
)

// between starts a proxy before the tests' containerd and returns its socket.
func between(t *testing.T) (*proxy.Proxy, string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "proxy.sock")
	p, err := proxy.Start(socket, containerd(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p, socket
}

// reach is a client of containerd's own, at a socket.
func reach(t *testing.T, socket string) *containerdclient.Client {
	t.Helper()
	c, err := containerdclient.New(socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// leaseNames are the leases that there really are.
func leaseNames(t *testing.T, ctx context.Context) (names []string) {
	t.Helper()
	all, err := reach(t, containerd(t)).LeasesService().List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		names = append(names, l.ID)
	}
	return names
}

// Whatever is passed on arrives as it would without a proxy: large messages and
// streams both ways, metadata, and errors with code and words.
func TestProxyPassesOn(t *testing.T) {
	t.Parallel()
	p, socket := between(t)
	ctx, cancel := context.WithTimeout(namespaces.WithNamespace(context.Background(), "proxy-passes-on"), time.Minute)
	defer cancel()
	through, direct := reach(t, socket), reach(t, containerd(t))

	data := make([]byte, 5<<20+1)
	rand.Read(data)
	blob := ocispec.Descriptor{Digest: digest.FromBytes(data), Size: int64(len(data))}
	ctx, done, err := direct.WithLease(ctx) // else the blob is garbage
	if err != nil {
		t.Fatal(err)
	}
	defer done(context.WithoutCancel(ctx))
	if err := content.WriteBlob(ctx, through.ContentStore(), "blob", bytes.NewReader(data), blob); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*containerdclient.Client{"through": through, "direct": direct} {
		if got, err := content.ReadBlob(ctx, c.ContentStore(), blob); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes of %d: %v", name, len(got), len(data), err)
		}
	}
	if !slices.Contains(p.Calls(), "/containerd.services.content.v1.Content/Write") {
		t.Errorf("no stream among the calls: %q", p.Calls())
	}

	_, want := leasesapi.NewLeasesClient(direct.Conn()).ListResources(ctx, &leasesapi.ListResourcesRequest{ID: "none"})
	_, got := leasesapi.NewLeasesClient(through.Conn()).ListResources(ctx, &leasesapi.ListResourcesRequest{ID: "none"})
	if status.Code(want) != codes.NotFound || want.Error() != got.Error() {
		t.Errorf("an error: %v, want %v", got, want)
	}
}

// A fault strikes the call that it is for and no other; whether containerd has done
// what it was asked is as the fault's moment says.
func TestProxyBreaks(t *testing.T) {
	t.Parallel()
	p, socket := between(t)
	ctx, cancel := context.WithTimeout(namespaces.WithNamespace(context.Background(), "proxy-breaks"), time.Minute)
	defer cancel()
	through := reach(t, socket).LeasesService()
	for _, c := range []struct {
		name  string
		fault proxy.Fault
		code  codes.Code
		done  bool
	}{
		{"fail-before", proxy.Fault{Code: codes.ResourceExhausted}, codes.ResourceExhausted, false},
		{"fail-after", proxy.Fault{When: proxy.After}, codes.Internal, true},
		{"hang-before", proxy.Fault{Action: proxy.Hang}, codes.DeadlineExceeded, false},
		{"hang-after", proxy.Fault{Action: proxy.Hang, When: proxy.After}, codes.DeadlineExceeded, true},
		{"cut-before", proxy.Fault{Action: proxy.Cut}, codes.Unavailable, false},
		{"cut-during", proxy.Fault{Action: proxy.Cut, When: proxy.During, For: time.Minute}, codes.Unavailable, true},
		{"cut-after", proxy.Fault{Action: proxy.Cut, When: proxy.After}, codes.Unavailable, true},
		{"fail-lasting", proxy.Fault{Code: codes.Aborted, Lasting: true}, codes.Aborted, false},
		{"delay-before", proxy.Fault{Action: proxy.Delay, For: 200 * time.Millisecond}, codes.OK, true},
		{"delay-after", proxy.Fault{Action: proxy.Delay, When: proxy.After, For: 200 * time.Millisecond}, codes.OK, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.Break(2, c.fault)
			var err error
			for _, id := range []string{"first", "second", "third"} {
				limited, cancel := context.WithTimeout(ctx, 2*time.Second)
				start := time.Now()
				_, got := leasesapi.NewLeasesClient(reach(t, socket).Conn()).Create(limited, &leasesapi.CreateRequest{ID: id})
				if c.fault.Action == proxy.Delay && id == "second" && time.Since(start) < c.fault.For {
					t.Errorf("not delayed")
				}
				cancel()
				if id == "second" {
					err = got
				} else if (got == nil) == (id == "third" && c.fault.Lasting) {
					t.Errorf("%s: %v", id, got)
				}
			}
			if status.Code(err) != c.code {
				t.Errorf("%v, want %v", err, c.code)
			}
			names := leaseNames(t, ctx)
			if !slices.Contains(names, "first") || slices.Contains(names, "third") == c.fault.Lasting || slices.Contains(names, "second") != c.done {
				t.Errorf("containerd has done %q", names)
			}
			const create = "/containerd.services.leases.v1.Leases/Create"
			if calls := p.Calls(); !slices.Equal(calls, []string{create, create, create}) || p.Struck() != create {
				t.Errorf("calls %q, struck %q", calls, p.Struck())
			}
			p.Pass()
			for _, id := range names {
				if err := through.Delete(ctx, leases.Lease{ID: id}, leases.SynchronousDelete); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// A cut connection ends the calls of its own client, and no other's; the client
// may come back.
func TestProxyCutsOneClient(t *testing.T) {
	t.Parallel()
	p, socket := between(t)
	ctx, cancel := context.WithTimeout(namespaces.WithNamespace(context.Background(), "proxy-cuts"), time.Minute)
	defer cancel()
	victim, other := reach(t, socket), reach(t, socket)
	// Nobody reads the events: one from a test beside this would hold up the subscriber.
	const none = `topic=="/none"`
	_, fate := victim.EventService().Subscribe(ctx, none)
	_, luck := other.EventService().Subscribe(ctx, none)
	for len(p.Calls()) < 2 {
		time.Sleep(10 * time.Millisecond)
	}
	p.Break(1, proxy.Fault{Action: proxy.Cut})
	if _, err := victim.LeasesService().List(ctx); err == nil {
		t.Error("the call was answered")
	}
	if err := <-fate; err == nil {
		t.Error("the client's other call was not cut")
	}
	select {
	case err := <-luck:
		t.Errorf("another client's call has ended: %v", err)
	default:
	}
	if _, err := victim.LeasesService().List(ctx); err != nil {
		t.Errorf("the client cannot come back: %v", err)
	}
	p.Cut()
	if err := <-luck; err == nil {
		t.Error("not all clients were cut")
	}
}

// During strikes a call that containerd is still at: this one has no answer before
// something happens. So it is not beside other tests, whose steps are events.
func TestProxyBreaksDuring(t *testing.T) {
	p, socket := between(t)
	ctx, cancel := context.WithTimeout(namespaces.WithNamespace(context.Background(), "proxy-during"), time.Minute)
	defer cancel()
	for action, code := range map[proxy.Action]codes.Code{proxy.Fail: codes.Aborted, proxy.Cut: codes.Unavailable} {
		p.Break(1, proxy.Fault{When: proxy.During, Action: action, Code: codes.Aborted, For: 300 * time.Millisecond})
		start := time.Now()
		stream, err := eventsapi.NewEventsClient(reach(t, socket).Conn()).Subscribe(ctx, &eventsapi.SubscribeRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != code || time.Since(start) < 300*time.Millisecond {
			t.Errorf("%v after %s, want %v", err, time.Since(start), code)
		}
	}
}
