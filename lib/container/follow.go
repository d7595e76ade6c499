package container

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

// Follow begins to copy path, from offset on, to out. inotify(7) tells when
// there is more; the file is only ever appended to. When out cannot be written
// any more, because its reader went away, the rest is not copied, and that is
// no failure of the task's: see Stop.
func Follow(path string, offset int64, out io.Writer) (*Follower, error) {
	log, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if _, err := log.Seek(offset, io.SeekStart); err != nil {
		log.Close()
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
		log: log, watch: os.NewFile(uintptr(fd), "inotify"), out: out, buf: make([]byte, copySize),
		copied: make(chan struct{}), closed: make(chan struct{}),
	}
	go f.follow()
	return f, nil
}

func (f *Follower) follow() {
	defer close(f.copied)
	events := make([]byte, 4096)
	for f.err == nil {
		f.copy()
		if _, err := f.watch.Read(events); err != nil {
			return // the task has ended: Stop copies the rest
		}
	}
}

func (f *Follower) copy() {
	// The wrappers keep io.CopyBuffer from using a smaller buffer of its own.
	_, f.err = io.CopyBuffer(struct{ io.Writer }{f.out}, struct{ io.Reader }{f.log}, f.buf)
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
	if errors.Is(f.err, unix.EPIPE) {
		return nil
	}
	return f.err
}
