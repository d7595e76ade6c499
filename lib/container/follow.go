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
	log     *os.File
	watch   *os.File
	out     io.Writer
	done    chan struct{}
	stopped sync.Once
	err     error
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
	f := &Follower{log: log, watch: os.NewFile(uintptr(fd), "inotify"), out: out, done: make(chan struct{})}
	go f.follow()
	return f, nil
}

func (f *Follower) follow() {
	defer close(f.done)
	events := make([]byte, 4096)
	buf := make([]byte, copySize)
	for {
		// The wrapper keeps io.Copy from handing out to the writer's own,
		// smaller, buffer.
		if _, f.err = io.CopyBuffer(struct{ io.Writer }{f.out}, struct{ io.Reader }{f.log}, buf); f.err != nil {
			return
		}
		if _, err := f.watch.Read(events); err != nil {
			// Stopped: nothing is added any more.
			_, f.err = io.CopyBuffer(struct{ io.Writer }{f.out}, struct{ io.Reader }{f.log}, buf)
			return
		}
	}
}

// Stop copies the rest of a log that is complete and ends. A reader that went
// away (EPIPE) is not an error.
func (f *Follower) Stop() error {
	f.stopped.Do(func() {
		f.watch.Close()
		<-f.done
		f.log.Close()
	})
	if errors.Is(f.err, unix.EPIPE) {
		return nil
	}
	return f.err
}
