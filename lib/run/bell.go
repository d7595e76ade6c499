package run

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"pipex/lib/workspace"
)

// A reaper listens on an abstract socket (unix(7)): its bell. Whoever has left a note connects
// to it. If that succeeds, a reaper will look at the notes; else the caller starts one. The
// kernel closes the socket when the reaper dies, and the reaper need not keep a file of the
// workspace open while it waits.
//
// The bell locks nothing. Two reapers at once do no harm, since each takes the lock of a run's
// container before it removes it.

// bell returns the address of a workspace's bell. A workspace that is removed and created again
// has another one.
func bell(ws *workspace.Workspace) (*unix.SockaddrUnix, error) {
	var is unix.Stat_t
	if err := unix.Stat(ws.Root, &is); err != nil {
		return nil, &os.PathError{Op: "stat", Path: ws.Root, Err: err}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d/%d/%s", is.Dev, is.Ino, ws.Root))
	return &unix.SockaddrUnix{Name: "@pipex-reaper-" + hex.EncodeToString(sum[:16])}, nil
}

// Ring reports whether a reaper of the caller's user will look at the notes that have been left
// so far.
func Ring(ws *workspace.Workspace) bool {
	at, err := bell(ws)
	if err != nil {
		return false
	}
	fd, err := bellSocket()
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, at); err != nil {
		return false // also if the bell is busy: another user may keep it so
	}
	peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	return err == nil && int(peer.Uid) == os.Geteuid()
}

func bellSocket() (int, error) {
	return unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
}

// Bell is the bell of a reaper that listens.
type Bell struct{ fd int }

// waiting is how many callers may have rung while the reaper works: as many as Linux lets wait by
// default. More find the bell busy, and each of them starts a reaper that only works once.
const waiting = 4096

// Listen makes the caller the reaper that [Ring] finds. After that it looks at the notes. The
// error is EADDRINUSE if there is one already.
func Listen(ws *workspace.Workspace) (*Bell, error) {
	at, err := bell(ws)
	if err != nil {
		return nil, err
	}
	fd, err := bellSocket()
	if err != nil {
		return nil, err
	}
	if err = unix.Bind(fd, at); err == nil {
		err = unix.Listen(fd, waiting)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &Bell{fd}, nil
}

// Rung waits until somebody has rung, at most so long and until ctx ends, and reports whether
// somebody has. It forgets all who have rung so far.
func (b *Bell) Rung(ctx context.Context, limit time.Duration) bool {
	end := time.Now().Add(limit)
	for rung := false; ; {
		if fd, _, err := unix.Accept4(b.fd, unix.SOCK_CLOEXEC); err == nil {
			unix.Close(fd)
			rung = true
			continue
		}
		left := time.Until(end)
		if rung || left <= 0 || ctx.Err() != nil {
			return rung
		}
		unix.Poll([]unix.PollFd{{Fd: int32(b.fd), Events: unix.POLLIN}}, int(min(left, notice).Milliseconds())+1)
	}
}

// notice is how long Rung may take to notice that its context has ended.
const notice = 500 * time.Millisecond

// Close ends the listening. Whoever has rung before, and was not told so by Rung, has left a note
// that can be seen now.
func (b *Bell) Close() { unix.Close(b.fd) }
