// Package follow copies a growing log file to a writer, and keeps the file within a size
// limit.
package follow

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Follower copies what a task appends to a log file to a writer while it grows.
type Follower struct {
	log  *os.File
	out  io.Writer
	pos  int64 // everything before this offset has been copied
	keep int64
	gone error // why out cannot be written any more
	buf  []byte
	// end closes ended, which says that the task has ended; complete is for Stop.
	end, complete sync.Once
	ended         chan struct{}
	copied        chan struct{} // closed when following ends
	// left has an element when a writer may have closed the log.
	left chan struct{}
	err  error
}

// copySize is how much is copied at once, in bytes: four times the default size of a pipe.
const copySize = 256 << 10

// KeepAll, as Start's keep, means no limit.
const KeepAll = -1

// Start begins to copy path, from offset on, to out. The file must only be appended to. If
// writing to out fails, because its reader is gone, the rest is not copied; Stop returns the
// error.
//
// Data beyond the offset keep loses its disk space once it has been copied
// (FALLOC_FL_PUNCH_HOLE of fallocate(2), if the file system supports it). If an earlier
// follower has done so, Start skips that part. See also Cut.
func Start(path string, offset, keep int64, out io.Writer) (*Follower, error) {
	if out == nil {
		out = io.Discard
	}
	log, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	f := &Follower{
		log: log, out: out, pos: offset, keep: keep, buf: make([]byte, copySize),
		ended: make(chan struct{}), copied: make(chan struct{}), left: make(chan struct{}, 1),
	}
	go f.follow()
	return f, nil
}

// resume handles a file in which an earlier follower has punched a hole: it copies the part
// before the hole and continues after it.
func (f *Follower) resume() {
	if f.keep < 0 {
		return
	}
	end := max(roundUp(f.keep), f.pos)
	next, err := f.log.Seek(end, unix.SEEK_DATA)
	if err != nil || next == end {
		return // there is no hole
	}
	io.Copy(f, io.NewSectionReader(f.log, f.pos, end-f.pos))
	f.pos = next
}

// A follower looks at the log after firstLook, then after twice that, and so on. Only if the
// task lives longer than that takes, it waits for more with inotify(7): the kernel takes some 20
// milliseconds to close an inotify instance, which is more than a short command takes. A user
// may have few instances, 128 by default. Without one the follower looks every lastLook.
const (
	firstLook = 2 * time.Millisecond
	lastLook  = 64 * time.Millisecond
)

// follow copies until the task has ended. Stop copies the rest.
func (f *Follower) follow() {
	defer close(f.copied)
	f.resume()
	for look := firstLook; look <= lastLook; look *= 2 {
		if f.over(look) {
			return
		}
		f.copyMore()
	}
	watch, err := f.watch()
	for err != nil {
		if f.over(lastLook) {
			return
		}
		f.copyMore()
		f.tellLeft()
	}
	go func() {
		<-f.ended
		watch.Close() // ends a Read
	}()
	f.copyMore()
	f.tellLeft() // perhaps, before anybody watched
	events := make([]byte, 4096)
	for {
		n, err := watch.Read(events)
		if err != nil {
			return
		}
		f.copyMore()
		if closes(events[:n]) {
			f.tellLeft()
		}
	}
}

// over waits until the task has ended, at most so long, and reports whether it has.
func (f *Follower) over(limit time.Duration) bool {
	select {
	case <-f.ended:
		return true
	case <-time.After(limit):
		return false
	}
}

// watch begins to watch the log.
func (f *Follower) watch() (*os.File, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK) // so that Close ends a Read
	if err != nil {
		return nil, err
	}
	if _, err := unix.InotifyAddWatch(fd, f.log.Name(), unix.IN_MODIFY|unix.IN_CLOSE_WRITE); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "inotify"), nil
}

func (f *Follower) tellLeft() {
	select {
	case f.left <- struct{}{}:
	default:
	}
}

// copyMore copies what the log holds by now, unless that has failed before.
func (f *Follower) copyMore() {
	if f.err == nil {
		f.copy()
	}
}

// Left returns a channel that receives when a writer may have closed the log, and all that it
// holds is copied, if it can be: once when the log is first watched, and then when one has.
func (f *Follower) Left() <-chan struct{} { return f.left }

// closes reports whether one of the events is that a writer has closed the file.
func closes(events []byte) bool {
	for len(events) >= unix.SizeofInotifyEvent {
		e := (*unix.InotifyEvent)(unsafe.Pointer(&events[0]))
		if e.Mask&unix.IN_CLOSE_WRITE != 0 {
			return true
		}
		events = events[min(len(events), unix.SizeofInotifyEvent+int(e.Len)):]
	}
	return false
}

func (f *Follower) copy() {
	if _, f.err = f.log.Seek(f.pos, io.SeekStart); f.err == nil {
		// The wrapper hides methods for which io.CopyBuffer would use a smaller buffer.
		_, f.err = io.CopyBuffer(f, struct{ io.Reader }{f.log}, f.buf)
	}
}

// Write implements [io.Writer]: it writes p to out and frees the disk space of what is not
// kept, also if out cannot be written any more.
func (f *Follower) Write(p []byte) (int, error) {
	n := len(p)
	var err error
	if f.gone == nil {
		if n, err = f.out.Write(p); err != nil {
			f.gone = err
		}
	}
	if f.keep < 0 {
		f.pos += int64(n)
		return n, err
	}
	f.pos += int64(len(p))
	if from, to := roundUp(f.keep), f.pos/page*page; to > from {
		from = max(from, to-int64(len(p))-page)
		unix.Fallocate(int(f.log.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, from, to-from)
	}
	return len(p), nil
}

// page is the unit in which file systems free space, in bytes.
const page = 4096

func roundUp(n int64) int64 { return (n + page - 1) / page * page }

// Cut truncates a complete log at the limit and returns the number of bytes dropped.
func (f *Follower) Cut() (int64, error) {
	if f.keep < 0 {
		return 0, nil
	}
	info, err := os.Stat(f.log.Name())
	if err != nil || info.Size() <= f.keep {
		return 0, err
	}
	return info.Size() - f.keep, os.Truncate(f.log.Name(), f.keep)
}

// Ended must be called when the task has ended; then only what the shim has not written yet
// is missing. It does not block.
func (f *Follower) Ended() { f.end.Do(func() { close(f.ended) }) }

// Stop copies the rest of a complete log and stops following. A failure to write to out is
// returned, except EPIPE, which means that the reader is gone.
func (f *Follower) Stop() error {
	f.complete.Do(func() {
		f.Ended()
		<-f.copied
		f.copyMore()
		f.log.Close()
	})
	err := f.err
	if err == nil {
		err = f.gone
	}
	if errors.Is(err, unix.EPIPE) {
		return nil
	}
	return err
}
