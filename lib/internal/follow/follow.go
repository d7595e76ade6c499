// Package follow copies a growing log file to a writer, and keeps the file within a size
// limit.
package follow

import (
	"errors"
	"io"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Follower copies what a task appends to a log file to a writer while it grows.
type Follower struct {
	log   *os.File
	watch *os.File
	out   io.Writer
	pos   int64 // everything before this offset has been copied
	keep  int64
	gone  error // why out cannot be written any more
	buf   []byte
	// ended says that the task has ended, complete that its log is complete.
	ended, complete sync.Once
	copied          chan struct{} // closed when following ends
	closed          chan struct{} // closed when watch is
	// left is closed when a writer has closed the log, and all that it holds is copied.
	left  chan struct{}
	leave sync.Once
	err   error
}

// copySize is how much is copied at once, in bytes: four times the default size of a pipe.
const copySize = 256 << 10

// KeepAll, as Start's keep, means no limit.
const KeepAll = -1

// Start begins to copy path, from offset on, to out. It waits for more with inotify(7). The
// file must only be appended to. If writing to out fails, because its reader is gone, the
// rest is not copied; Stop returns the error.
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
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err == nil {
		if _, err = unix.InotifyAddWatch(fd, path, unix.IN_MODIFY|unix.IN_CLOSE_WRITE); err != nil {
			unix.Close(fd)
		}
	}
	if err != nil {
		log.Close()
		return nil, err
	}
	// Non-blocking, so that Close ends a Read.
	f := &Follower{
		log: log, watch: os.NewFile(uintptr(fd), "inotify"), out: out, pos: offset, keep: keep, buf: make([]byte, copySize),
		copied: make(chan struct{}), closed: make(chan struct{}), left: make(chan struct{}),
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

func (f *Follower) follow() {
	defer close(f.copied)
	f.resume()
	events := make([]byte, 4096)
	for {
		f.copyMore()
		n, err := f.watch.Read(events)
		if err != nil {
			return // the task has ended: Stop copies the rest
		}
		if closes(events[:n]) {
			f.copyMore()
			f.leave.Do(func() { close(f.left) })
		}
	}
}

// copyMore copies what the log holds by now, unless that has failed before.
func (f *Follower) copyMore() {
	if f.err == nil {
		f.copy()
	}
}

// Left returns a channel that is closed when a writer has closed the log, and all that it
// holds is copied, if it can be.
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
// is missing. It does not block: the kernel takes some 20 milliseconds to close an inotify
// instance, and the caller deletes the task in that time.
func (f *Follower) Ended() {
	f.ended.Do(func() {
		go func() {
			defer close(f.closed)
			f.watch.Close()
		}()
	})
}

// Stop copies the rest of a complete log and stops following. A failure to write to out is
// returned, except EPIPE, which means that the reader is gone.
func (f *Follower) Stop() error {
	f.complete.Do(func() {
		f.Ended()
		<-f.copied
		f.copyMore()
		f.log.Close()
		<-f.closed
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
