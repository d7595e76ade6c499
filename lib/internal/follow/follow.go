// Package follow passes on what is appended to a log file, as it is appended, and
// keeps the file within a limit.
package follow

import (
	"errors"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Follower copies what a task appends to a log file to a writer while it grows.
type Follower struct {
	log   *os.File
	watch *os.File
	out   io.Writer
	pos   int64 // what lies before has been passed on
	keep  int64
	gone  error // out's, when it could not be written any more
	buf   []byte
	// ended tells that the task has, complete that its log is.
	ended, complete sync.Once
	copied          chan struct{} // closed when following ends
	closed          chan struct{} // closed when watch is
	err             error
}

// copySize is how much is copied at once, in bytes: as much as a pipe holds at
// most by default, several times over.
const copySize = 256 << 10

// KeepAll keeps all that is written to a log.
const KeepAll = -1

// Start begins to copy path, from offset on, to out. inotify(7) tells when
// there is more; the file is only ever appended to. When out cannot be written
// any more, because its reader went away, the rest is not copied, and that is
// no failure of the task's: see Stop.
//
// What lies beyond the offset keep gives its disk space back once it has been
// passed on (FALLOC_FL_PUNCH_HOLE of fallocate(2), where the file system can),
// and is passed over if an earlier follower has done so; see Cut.
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
		if _, err = unix.InotifyAddWatch(fd, path, unix.IN_MODIFY); err != nil {
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
		copied: make(chan struct{}), closed: make(chan struct{}),
	}
	go f.follow()
	return f, nil
}

// resume passes on what is kept, if the rest is gone already, and goes to where
// there is something again.
func (f *Follower) resume() {
	if f.keep < 0 {
		return
	}
	end := max(roundUp(f.keep), f.pos)
	next, err := f.log.Seek(end, unix.SEEK_DATA)
	if err != nil || next == end {
		return // nothing beyond, or nothing gone
	}
	io.Copy(f, io.NewSectionReader(f.log, f.pos, end-f.pos))
	f.pos = next
}

func (f *Follower) follow() {
	defer close(f.copied)
	f.resume()
	events := make([]byte, 4096)
	for f.err == nil {
		f.copy()
		if _, err := f.watch.Read(events); err != nil {
			return // the task has ended: Stop copies the rest
		}
	}
}

func (f *Follower) copy() {
	if _, f.err = f.log.Seek(f.pos, io.SeekStart); f.err == nil {
		// The wrapper keeps io.CopyBuffer from using a smaller buffer of its own.
		_, f.err = io.CopyBuffer(f, struct{ io.Reader }{f.log}, f.buf)
	}
}

// Write implements [io.Writer]: it passes p on, and gives back the space of it
// that is not kept, even when there is nobody to pass it on to.
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

// page is what file systems give back: no less, and at multiples of it.
const page = 4096

func roundUp(n int64) int64 { return (n + page - 1) / page * page }

// Cut truncates a complete log at the limit and returns how many bytes it dropped.
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

// Ended says that the task has ended, so that there is nothing to wait for but
// what the shim has not written yet. It does not block: the kernel takes some 20
// milliseconds to close an inotify instance, time in which the task is deleted.
func (f *Follower) Ended() {
	f.ended.Do(func() {
		go func() {
			defer close(f.closed)
			f.watch.Close()
		}()
	})
}

// Stop copies the rest of a log that is complete and ends. A reader that went
// away (EPIPE) is not an error.
func (f *Follower) Stop() error {
	f.complete.Do(func() {
		f.Ended()
		<-f.copied
		if f.err == nil {
			f.copy()
		}
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
