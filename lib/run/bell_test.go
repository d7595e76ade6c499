package run

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pipex/lib/workspace"
)

func rungFor(t *testing.T) (*workspace.Workspace, *Bell) {
	t.Helper()
	ws, err := workspace.Create(t.TempDir(), "ws")
	if err != nil {
		t.Fatal(err)
	}
	bell, err := Listen(ws)
	if err != nil {
		t.Fatal(err)
	}
	return ws, bell
}

// Whoever rings while somebody listens is heard, once however many they are, and nobody is
// afterwards.
func TestBell(t *testing.T) {
	ws, bell := rungFor(t)
	if _, err := Listen(ws); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("two listen: %v", err)
	}
	for range 100 {
		if !Ring(ws) {
			t.Fatal("not heard")
		}
	}
	if !bell.Rung(t.Context(), 0) || bell.Rung(t.Context(), 10*time.Millisecond) {
		t.Error("not heard once")
	}
	time.AfterFunc(20*time.Millisecond, func() { Ring(ws) })
	if start := time.Now(); !bell.Rung(t.Context(), time.Minute) || time.Since(start) > 10*time.Second {
		t.Error("not heard while waiting")
	}
	bell.Close()
	if Ring(ws) {
		t.Error("nobody listens")
	}
}

// A workspace that is made again has another bell.
func TestBellOfAnotherWorkspace(t *testing.T) {
	ws, bell := rungFor(t)
	defer bell.Close()
	if err := os.Rename(ws.Root, ws.Root+"-was"); err != nil {
		t.Fatal(err)
	}
	if Ring(ws) {
		t.Error("heard without a workspace")
	}
	if err := os.Mkdir(ws.Root, 0o700); err != nil {
		t.Fatal(err)
	}
	if Ring(ws) {
		t.Error("heard in another workspace")
	}
}

// A signal ends the wait of a reaper.
func TestBellEnds(t *testing.T) {
	_, bell := rungFor(t)
	defer bell.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if start := time.Now(); bell.Rung(ctx, time.Minute) || time.Since(start) > 10*time.Second {
		t.Error("it goes on waiting")
	}
}

// A bell at which nobody more can ring tells nothing, since it may be another user's: then the
// caller has to start a reaper.
func TestBellBusy(t *testing.T) {
	ws, bell := rungFor(t)
	defer bell.Close()
	if err := unix.Listen(bell.fd, 0); err != nil {
		t.Fatal(err)
	}
	if !Ring(ws) {
		t.Error("the first is not heard")
	}
	if Ring(ws) {
		t.Error("heard, although nobody more can ring")
	}
}
