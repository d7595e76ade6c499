package workspace

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A run that another machine executes has more files while it is open. They are for
// machines that share a file system and whose clocks may differ, so their content counts and
// never their times.
//
//	heartbeat  a number that exec changes every few seconds: exec lives
//	signal     the number of a signal that exec is to pass on to the command
//	given-up   whoever waited for the run has given it up: exec ends the command

// Pulse is the time between two heartbeats. A file on another machine may be seen some
// seconds late (nfs(5), acregmin).
const Pulse = 2 * time.Second

func (r Run) heartbeat() string { return filepath.Join(r.Dir, "heartbeat") }
func (r Run) givenUp() string   { return filepath.Join(r.Dir, "given-up") }

// Beat writes the n-th heartbeat of an open run's exec, and reports whether the run is still wanted: it is
// there, and was not given up. If that cannot be told, as with a server that does not answer, it is.
func (r Run) Beat(n int) (wanted bool) {
	err := os.WriteFile(r.heartbeat(), strconv.AppendInt(nil, int64(n), 10), 0o666)
	return !r.GivenUp() && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ESTALE)
}

// StopBeating removes the heartbeat of an exec that ends.
func (r Run) StopBeating() {
	os.Remove(r.heartbeat())
	os.Remove(r.signal())
}

func (r Run) signal() string { return filepath.Join(r.Dir, "signal") }

// Ask asks the exec of an open run, on whatever machine, to pass a signal on to its command at its next heartbeat. A second one before
// that replaces the first.
func (r Run) Ask(signal syscall.Signal) error {
	return os.WriteFile(r.signal(), strconv.AppendInt(nil, int64(signal), 10), 0o666)
}

// Asked returns the signal that was asked for since the last call; 0 for none. Only the run's exec calls it.
func (r Run) Asked() syscall.Signal {
	data, err := readFile(r.signal(), 8)
	if err != nil {
		return 0
	}
	os.Remove(r.signal())
	n, _ := strconv.Atoi(string(data))
	return syscall.Signal(min(max(n, 0), 64))
}

// Heartbeat returns the last heartbeat; empty if there was none.
func (r Run) Heartbeat() string {
	data, _ := readFile(r.heartbeat(), 32)
	return string(data)
}

// GiveUp tells the exec of an open run, if it still lives somewhere, that nobody waits for it any
// more. It can only be discarded then.
func (r Run) GiveUp() error {
	f, err := os.OpenFile(r.givenUp(), os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	return f.Close()
}

// GivenUp reports whether the run was given up.
func (r Run) GivenUp() bool {
	_, err := os.Lstat(r.givenUp())
	return err == nil
}
