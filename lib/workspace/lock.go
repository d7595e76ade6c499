package workspace

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"pipex/lib/internal/trace"
	"pipex/lib/name"
)

// All locks are open-file-description byte-range locks (fcntl(2), F_OFD_SETLK) on one
// file, .pipex/lock, which is never removed. Each thing that is locked has one byte of
// the file. The kernel releases a lock when its holder dies. Locks work between
// machines if the file system's locks do. The existence of a file is never a lock.
//
// What the locks protect, and who takes them:
//
//	run        exclusive: prepare, exec, commit, discard and prune, before they
//	           change or remove the run. exec holds it while the command runs.
//	           A verb waits only as long as a killed process needs to die; then
//	           it fails and names the holder, and prune keeps the run. prune
//	           tests the lock first (F_OFD_GETLK), and takes it only to remove
//	           the run. shared: shell, while a command looks at the run.
//	step       exclusive: pipex-step, from before prepare until after link, so that
//	           two of them do not run one step at once. Nothing waits for it while
//	           it holds another lock.
//	cache      exclusive: exec, for an exclusive cache, while the command runs.
//	           Several caches are locked in order of their names.
//	pipeline   exclusive: pipex-run in the background, from its beginning to its end.
//	           Nothing waits for it.
//	workspace  shared: prepare, link and commit, while they add a reference to a
//	           run. exclusive: prune, while it decides what to remove. Held for
//	           milliseconds. Remove and RemoveCache hold it, and the locks of the
//	           runs that are concerned, until nobody can see any more what they remove.
//	state      exclusive: link, while it changes a link and state.json; prune,
//	           when it makes state.json agree with the links.
//	index      exclusive: commit, while it renames a run to runs/; whoever looks for a
//	           run, while it adds to the index what is missing there. Waiting for it is
//	           bounded: without it a commit leaves the index to the next look, and a look
//	           does without the index.
//	container  exclusive: the reaper and prune, while they remove from containerd what
//	           a note of a run says; prepare and exec, to do that themselves or to wait
//	           until it is done, before they create something of the same name.
//
// To avoid deadlocks, locks are taken in the order step, cache, workspace, state, index. A run's
// lock may be taken at any point, since waiting for it is bounded. So may the lock of its
// container, for the same reason; its holder takes no other lock.
//
// The holder of a run, a step or a cache is written to .pipex/holders, for error messages.
// Nothing is decided by it.
const (
	workspaceByte = 0
	stateByte     = 1
	indexByte     = 2
)

// BusyError says that another process holds a run, a cache or the workspace.
type BusyError struct {
	// What is held, such as `run "x"`.
	What string
	// By is the holder; nil if it is not known.
	By *Holder
}

func (e *BusyError) Error() string {
	if e.By == nil {
		return e.What + " is in use by another process"
	}
	return fmt.Sprintf("%s is in use by pipex-%s, process %d on %s, since %s",
		e.What, e.By.Verb, e.By.PID, e.By.Host, e.By.Since.Format(time.RFC3339))
}

// Holder describes the holder of a lock, for error messages. It may be out of date.
type Holder struct {
	// Verb is what the holder does, such as exec.
	Verb string `json:"verb"`
	// Host and PID are the holder's machine and process id.
	Host string `json:"host"`
	PID  int    `json:"pid"`
	// Since is when it took the lock, in UTC, to the second.
	Since time.Time `json:"since"`
}

// Lock is a lock that is held until Release is called or the process ends.
type Lock struct {
	file   *os.File
	at     int64
	holder string
}

// Release releases the lock. It does nothing on a nil or released lock.
//
// It unlocks before it closes: a child of this process that has been forked and has not
// called execve(2) yet has the open file too, and would keep the lock.
func (l *Lock) Release() {
	if l == nil || l.file == nil {
		return
	}
	if l.holder != "" {
		os.Remove(l.holder)
	}
	unix.FcntlFlock(l.file.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_UNLCK, Whence: unix.SEEK_SET, Start: l.at, Len: 1})
	l.file.Close()
	l.file = nil
}

// Shared takes the workspace lock, shared. Until it is released, prune removes no run.
// It waits until no prune holds the lock, or until ctx ends.
func (ws *Workspace) Shared(ctx context.Context) (*Lock, error) {
	return ws.wait(ctx, unix.F_RDLCK, workspaceByte)
}

// exclusive takes the workspace lock, exclusive, and waits for it until ctx ends.
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

// dying is how long HoldRun and LookAt wait for a lock: a process that has just been killed
// keeps its locks until the kernel has closed its files.
const dying = 250 * time.Millisecond

// HoldRun takes the lock of a run for verb. It waits a quarter of a second at most. If
// another process still holds the lock then, the error is a [*BusyError] that names the
// holder. The run need not exist.
func (ws *Workspace) HoldRun(id, verb string) (*Lock, error) {
	return ws.holdRun(unix.F_WRLCK, id, verb)
}

func (ws *Workspace) holdRun(kind int16, id, verb string) (*Lock, error) {
	ctx, cancel := context.WithTimeout(context.Background(), dying)
	defer cancel()
	l, err := ws.wait(ctx, kind, offset("run", id))
	if isHeld(err) || errors.Is(err, context.DeadlineExceeded) {
		return nil, &BusyError{What: fmt.Sprintf("run %q", id), By: ws.holder("run", id)}
	}
	if err != nil {
		return nil, err
	}
	ws.tellHolder(l, "run", id, verb)
	return l, nil
}

// LookAt takes the lock of a run, shared, for verb, which does not change the run. While
// it is held, no verb changes or removes the run. It waits as HoldRun does. If another
// process holds the run to change it, the error is a [*BusyError].
func (ws *Workspace) LookAt(id, verb string) (*Lock, error) {
	return ws.holdRun(unix.F_RDLCK, id, verb)
}

// Held returns a [*BusyError] if a process holds the lock of a run. It does not take
// the lock, so the answer may be out of date at once: before removing anything, take
// the lock and check again.
func (ws *Workspace) Held(id string) error {
	held, err := ws.look(offset("run", id))
	if err == nil && held {
		return &BusyError{What: fmt.Sprintf("run %q", id), By: ws.holder("run", id)}
	}
	return err
}

// look reports whether another open file has a lock on the byte at.
func (ws *Workspace) look(at int64) (bool, error) {
	f, err := os.Open(ws.path(private, "lock")) // whoever only looks need not be allowed to write
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot look at the locks of workspace %q: %w", ws.ID, err)
	}
	defer f.Close()
	l := unix.Flock_t{Type: unix.F_WRLCK, Whence: unix.SEEK_SET, Start: at, Len: 1}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &l); err != nil {
		return false, fmt.Errorf("cannot look at the locks of workspace %q: %w", ws.ID, err)
	}
	return l.Type != unix.F_UNLCK, nil
}

// HoldCache takes the lock of an exclusive cache for verb. It waits for the lock until
// ctx ends. If another process holds it, waiting, which may be nil, is called once with
// a [*BusyError].
func (ws *Workspace) HoldCache(ctx context.Context, cache, verb string, waiting func(error)) (*Lock, error) {
	return ws.hold(ctx, "cache", cache, verb, func(busy *BusyError) {
		if waiting != nil {
			waiting(busy)
		}
	})
}

// HoldStep takes the lock of a step for verb, which prepares, executes, commits and links
// a run of it. It waits for the lock until ctx ends. If another process holds it, waiting
// is called once with a [*BusyError]. The caller holds no other lock.
func (ws *Workspace) HoldStep(ctx context.Context, step, verb string, waiting func(*BusyError)) (*Lock, error) {
	if err := name.Check("step", step); err != nil {
		return nil, err
	}
	return ws.hold(ctx, "step", step, verb, waiting)
}

func (ws *Workspace) hold(ctx context.Context, kind, name, verb string, waiting func(*BusyError)) (*Lock, error) {
	l, err := ws.try(unix.F_WRLCK, offset(kind, name))
	if isHeld(err) {
		waiting(&BusyError{What: fmt.Sprintf("%s %q", kind, name), By: ws.holder(kind, name)})
		l, err = ws.wait(ctx, unix.F_WRLCK, offset(kind, name))
	}
	if err != nil {
		return nil, err
	}
	ws.tellHolder(l, kind, name, verb)
	return l, nil
}

// offset returns the byte of the lock file for a run, a step or a cache: 62 bits of a hash of
// its name, above the fixed bytes. If two names had the same byte, one would wait for
// the other; nothing worse.
func offset(kind, name string) int64 {
	sum := sha256.Sum256([]byte(kind + "/" + name))
	return int64(binary.BigEndian.Uint64(sum[:8])>>2) | 1<<8
}

// whose says in words what a byte of the lock file is for.
func whose(at int64) string {
	switch at {
	case workspaceByte:
		return "workspace"
	case stateByte:
		return "state"
	case indexByte:
		return "index"
	}
	return "run, step, cache or container"
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

// try locks one byte without waiting. isHeld(err) is true if another process has it.
func (ws *Workspace) try(kind int16, at int64) (*Lock, error) {
	return ws.tryIn(ws.lockFile, kind, at)
}

// tryIn is try on the lock file as open opens it.
func (ws *Workspace) tryIn(open func() (*os.File, error), kind int16, at int64) (*Lock, error) {
	f, err := open()
	if err != nil {
		return nil, err
	}
	return ws.lock(f, unix.F_OFD_SETLK, kind, at)
}

// wait locks one byte and waits for it until ctx ends. The system call cannot be
// interrupted, so a goroutine makes it. If ctx ends first, the goroutine stays until it
// gets the lock, and then releases it.
func (ws *Workspace) wait(ctx context.Context, kind int16, at int64) (*Lock, error) {
	return ws.waitIn(ctx, ws.lockFile, kind, at)
}

// waitIn is wait on the lock file as open opens it.
func (ws *Workspace) waitIn(ctx context.Context, open func() (*os.File, error), kind int16, at int64) (*Lock, error) {
	if l, err := ws.tryIn(open, kind, at); !isHeld(err) {
		return l, err
	}
	_, part := trace.Start(ctx, "wait for lock", whose(at))
	defer part.End()
	f, err := open() // not by the goroutine, which may start after ctx has ended
	if err != nil {
		return nil, err
	}
	type result struct {
		lock *Lock
		err  error
	}
	done := make(chan result, 1)
	go func() {
		l, err := ws.lock(f, unix.F_OFD_SETLKW, kind, at)
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

// lock locks one byte of the lock file f, and closes f if it cannot.
func (ws *Workspace) lock(f *os.File, cmd int, kind int16, at int64) (*Lock, error) {
	var err error
	for {
		err = unix.FcntlFlock(f.Fd(), cmd, &unix.Flock_t{Type: kind, Whence: unix.SEEK_SET, Start: at, Len: 1})
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err == nil {
		return &Lock{file: f, at: at}, nil
	}
	f.Close()
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return nil, errHeld
	}
	return nil, fmt.Errorf("cannot lock workspace %q: %w", ws.ID, err)
}

// errHeld says that another process has locked the byte.
var errHeld = errors.New("held")

func isHeld(err error) bool { return errors.Is(err, errHeld) }

func (ws *Workspace) holderPath(kind, name string) string {
	return ws.path(private, "holders", kind+"-"+name)
}

// tellHolder writes the holder of a lock to .pipex/holders. Errors are ignored: the
// file is only for error messages, and the kernel keeps the lock itself.
func (ws *Workspace) tellHolder(l *Lock, kind, name, verb string) {
	host, _ := os.Hostname()
	data, err := json.Marshal(Holder{Verb: verb, Host: host, PID: os.Getpid(), Since: time.Now().UTC().Truncate(time.Second)})
	if err != nil || ws.ensure(private+"/holders") != nil {
		return
	}
	l.holder = ws.holderPath(kind, name)
	os.WriteFile(l.holder, append(data, '\n'), 0o666)
}

// holder reads who holds a lock; nil if that is not known. It retries for 50 ms, since a
// process that has just taken the lock may not have written the file yet.
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
