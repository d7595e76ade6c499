package workspace

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// All locks are open-file-description byte-range locks (fcntl(2), F_OFD_SETLK)
// on one file, .pipex/lock, which is never unlinked: one byte for each thing
// locked. The kernel releases them when the holder dies, they work between
// machines where the file system's locks do, and no lock is ever a file's mere
// existence.
//
// What they protect:
//
//	run        exclusive, by whatever changes an open run or removes one:
//	           prepare, exec, commit, discard, prune. exec holds it while the
//	           command runs. It is waited for only as long as a killed process
//	           takes to die: then a verb says who has it, and prune keeps the run. prune looks whether it
//	           is taken (F_OFD_GETLK), and takes it only to remove the run.
//	cache      exclusive, by exec for an exclusive cache while the command
//	           runs. Several are taken in order of their names.
//	workspace  shared by whatever adds a reference to a run (prepare, link,
//	           commit's rename); exclusive for prune's mark. Milliseconds.
//	state      exclusive, by link while it changes a link and state.json, and by
//	           prune when it mends state.json.
//
// Of those that are waited for, cache comes before workspace and workspace before
// state, so nobody waits in a circle. A run's may be taken at any point, since
// waiting for it has a short bound.
//
// Who holds a run or a cache is written down in .pipex/holders, for people only:
// nothing decides by it.
const (
	workspaceByte = 0
	stateByte     = 1
)

// BusyError says that another process holds a run, a cache or the workspace.
type BusyError struct {
	// What is held, such as `run "x"`.
	What string
	// By is who holds it, as far as that is known.
	By *Holder
}

func (e *BusyError) Error() string {
	if e.By == nil {
		return e.What + " is in use by another process"
	}
	return fmt.Sprintf("%s is in use by pipex-%s, process %d on %s, since %s",
		e.What, e.By.Verb, e.By.PID, e.By.Host, e.By.Since.Format(time.RFC3339))
}

// Holder tells people who holds a lock. It may be out of date.
type Holder struct {
	Verb  string    `json:"verb"`
	Host  string    `json:"host"`
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
}

// Lock is a lock that is held until it is released or the process ends.
type Lock struct {
	file   *os.File
	holder string
}

// Release gives the lock back. It may be called on nil, and twice.
func (l *Lock) Release() {
	if l == nil || l.file == nil {
		return
	}
	if l.holder != "" {
		os.Remove(l.holder)
	}
	l.file.Close()
	l.file = nil
}

// Shared takes the workspace lock shared: until it is released no run is
// pruned. It waits for a prune's mark to end.
func (ws *Workspace) Shared(ctx context.Context) (*Lock, error) {
	return ws.wait(ctx, unix.F_RDLCK, workspaceByte)
}

// exclusive takes the workspace lock alone, as prune's mark does.
func (ws *Workspace) exclusive(ctx context.Context) (*Lock, error) {
	return ws.wait(ctx, unix.F_WRLCK, workspaceByte)
}

func (ws *Workspace) tryExclusive() (*Lock, error) {
	l, err := ws.try(unix.F_WRLCK, workspaceByte)
	if isHeld(err) {
		return nil, &BusyError{What: fmt.Sprintf("workspace %q", ws.ID)}
	}
	return l, err
}

// dying is how long HoldRun waits for a lock: a process that was just killed holds its
// locks until the kernel has taken it apart.
const dying = 250 * time.Millisecond

// HoldRun takes the lock of a run for verb. A run that another process goes on to hold
// is a [*BusyError], which tells who has it. The run need not exist.
func (ws *Workspace) HoldRun(id, verb string) (*Lock, error) {
	ctx, cancel := context.WithTimeout(context.Background(), dying)
	defer cancel()
	l, err := ws.wait(ctx, unix.F_WRLCK, offset("run", id))
	if isHeld(err) || errors.Is(err, context.DeadlineExceeded) {
		return nil, &BusyError{What: fmt.Sprintf("run %q", id), By: ws.holder("run", id)}
	}
	if err != nil {
		return nil, err
	}
	ws.tellHolder(l, "run", id, verb)
	return l, nil
}

// Held returns a [*BusyError] if a process holds the lock of a run, and does not
// take it. The answer may be out of date when it arrives: take the lock, and look
// again, before removing anything.
func (ws *Workspace) Held(id string) error {
	held, err := ws.look(offset("run", id))
	if err == nil && held {
		return &BusyError{What: fmt.Sprintf("run %q", id), By: ws.holder("run", id)}
	}
	return err
}

// look tells whether another open file has a lock on a byte.
func (ws *Workspace) look(at int64) (bool, error) {
	f, err := ws.lockFile()
	if err != nil {
		return false, err
	}
	defer f.Close()
	l := unix.Flock_t{Type: unix.F_WRLCK, Whence: unix.SEEK_SET, Start: at, Len: 1}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &l); err != nil {
		return false, fmt.Errorf("cannot look at the locks of workspace %q: %w", ws.ID, err)
	}
	return l.Type != unix.F_UNLCK, nil
}

// HoldCache takes the lock of an exclusive cache for verb and waits for its
// turn. waiting, which may be nil, is called once if another process has it.
func (ws *Workspace) HoldCache(ctx context.Context, cache, verb string, waiting func(error)) (*Lock, error) {
	l, err := ws.try(unix.F_WRLCK, offset("cache", cache))
	if isHeld(err) {
		if waiting != nil {
			waiting(&BusyError{What: fmt.Sprintf("cache %q", cache), By: ws.holder("cache", cache)})
		}
		l, err = ws.wait(ctx, unix.F_WRLCK, offset("cache", cache))
	}
	if err != nil {
		return nil, err
	}
	ws.tellHolder(l, "cache", cache, verb)
	return l, nil
}

// offset is the byte that stands for a thing: 62 bits of a hash, past the few
// fixed ones. Two names that share a byte would only wait for each other.
func offset(kind, name string) int64 {
	sum := sha256.Sum256([]byte(kind + "/" + name))
	return int64(binary.BigEndian.Uint64(sum[:8])>>2) | 1<<8
}

func (ws *Workspace) lockFile() (*os.File, error) {
	if err := ws.ensure(private); err != nil {
		return nil, fmt.Errorf("cannot lock workspace %q: %w", ws.ID, err)
	}
	f, err := os.OpenFile(ws.path(private, "lock"), os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, fmt.Errorf("cannot lock workspace %q: %w", ws.ID, err)
	}
	return f, nil
}

// try takes one byte without waiting; isHeld tells that somebody has it.
func (ws *Workspace) try(kind int16, at int64) (*Lock, error) {
	return ws.lock(unix.F_OFD_SETLK, kind, at)
}

// wait takes one byte, however long it takes, unless ctx ends first. The wait
// itself cannot be interrupted, so it is left to a goroutine: should ctx end,
// that goroutine gives the lock back as soon as it has it.
func (ws *Workspace) wait(ctx context.Context, kind int16, at int64) (*Lock, error) {
	if l, err := ws.try(kind, at); !isHeld(err) {
		return l, err
	}
	type result struct {
		lock *Lock
		err  error
	}
	done := make(chan result, 1)
	go func() {
		l, err := ws.lock(unix.F_OFD_SETLKW, kind, at)
		done <- result{l, err}
	}()
	select {
	case r := <-done:
		return r.lock, r.err
	case <-ctx.Done():
		go func() { (<-done).lock.Release() }()
		return nil, ctx.Err()
	}
}

func (ws *Workspace) lock(cmd int, kind int16, at int64) (*Lock, error) {
	f, err := ws.lockFile()
	if err != nil {
		return nil, err
	}
	for {
		err = unix.FcntlFlock(f.Fd(), cmd, &unix.Flock_t{Type: kind, Whence: unix.SEEK_SET, Start: at, Len: 1})
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err == nil {
		return &Lock{file: f}, nil
	}
	f.Close()
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return nil, errHeld
	}
	return nil, fmt.Errorf("cannot lock workspace %q: %w", ws.ID, err)
}

// errHeld says that another process has the byte.
var errHeld = errors.New("held")

func isHeld(err error) bool { return errors.Is(err, errHeld) }

func (ws *Workspace) holderPath(kind, name string) string {
	return ws.path(private, "holders", kind+"-"+name)
}

// tellHolder writes down who has a lock. That it cannot is no error: the lock
// itself is the kernel's.
func (ws *Workspace) tellHolder(l *Lock, kind, name, verb string) {
	host, _ := os.Hostname()
	data, err := json.Marshal(Holder{Verb: verb, Host: host, PID: os.Getpid(), Since: time.Now().UTC().Truncate(time.Second)})
	if err != nil || ws.ensure(private+"/holders") != nil {
		return
	}
	l.holder = ws.holderPath(kind, name)
	os.WriteFile(l.holder, append(data, '\n'), 0o666)
}

// holder reads who has a lock. Whoever has just taken it may not have written
// that down yet, and is given a moment to.
func (ws *Workspace) holder(kind, name string) *Holder {
	for range 5 {
		data, err := os.ReadFile(ws.holderPath(kind, name))
		h := new(Holder)
		if err == nil && json.Unmarshal(data, h) == nil {
			return h
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}
