package exec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"pipex/lib/internal/containerd"
)

// What an exec does for a disk that gets full while the command runs: room for the end of
// the record and for the command's last words is reserved before. If a log takes no more
// nevertheless, the shim stops to read what the command writes. Then exec reads it, so that
// the command does not wait for ever, and only copies it to the caller.

// lastWords is how much of each log is reserved, in bytes: more than a command says when it
// finds that the disk is full.
const lastWords = 64 << 10

// reserve takes room on the disk after the end of each log (fallocate(2)), if the file
// system can.
func (x *execution) reserve() error {
	for _, path := range []string{x.run.Stdout(), x.run.Stderr()} {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err == nil {
			err = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, info.Size(), lastWords)
		}
		f.Close()
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
			return fmt.Errorf("cannot reserve room for the logs of run %q: %w; pipex-prune may make room", x.run.ID, err)
		}
	}
	return nil
}

// unreserve gives back the room that the logs did not need. The shim has closed them: what
// it wrote meanwhile would be cut off.
func (x *execution) unreserve() {
	for _, path := range []string{x.run.Stdout(), x.run.Stderr()} {
		if info, err := os.Stat(path); err == nil {
			os.Truncate(path, info.Size())
		}
	}
}

// left returns channels of which each receives when the shim, or another program, has closed a
// log, or the file that the output of a terminal goes to.
func (x *execution) left() (left [2]<-chan struct{}) {
	left[0] = x.logs[0].Left()
	if !x.record().Terminal {
		left[1] = x.logs[1].Left()
	}
	return left
}

// rescue begins to copy to the caller what the command writes to a stream whose log the
// shim has closed while the command still has the stream: the shim could not write to it.
// If that is not possible, rescue ends the command, which would wait for ever.
func (x *execution) rescue(ctx context.Context, task *containerd.Task, i int) {
	if x.record().Terminal {
		// Room on the disk proves nothing: what was copied from the file has been freed since.
		open, err := task.ShimHas(x.run.Terminal())
		if !open && !errors.Is(err, containerd.ErrNoShim) && task.HasTerminal() {
			x.Warning(fmt.Errorf("the terminal is closed, since its output cannot be kept: %w", x.whyIncomplete()))
			x.Warning(task.Kill(ctx))
		}
		return
	}
	name, out := "stdout.log", x.Stdout
	if i == 1 {
		name, out = "stderr.log", x.Stderr
	}
	if slices.ContainsFunc(x.rescues, func(r *rescued) bool { return r.stream == i }) {
		return
	}
	if open, err := task.ShimHas(filepath.Join(x.run.Dir, name)); open || errors.Is(err, containerd.ErrNoShim) {
		return // the shim was killed, or another program has closed the log
	}
	pipe, err := task.Output(i)
	if pipe == nil && err == nil {
		return // the command has ended, or has closed the stream itself
	}
	x.Warning(fmt.Errorf("%s of run %q is incomplete: %w", name, x.run.ID, x.whyIncomplete()))
	if err != nil {
		x.Warning(fmt.Errorf("the command is ended, since nobody can read what it writes: %w", err))
		x.Warning(task.Kill(ctx))
		return
	}
	r := &rescued{pipe: pipe, stream: i, done: make(chan struct{})}
	x.rescues = append(x.rescues, r)
	go r.copy(out)
}

// whyIncomplete says why the shim could not write to a log.
func (x *execution) whyIncomplete() error {
	var fs unix.Statfs_t
	if err := unix.Statfs(x.run.Dir, &fs); err == nil && fs.Bavail*uint64(fs.Bsize) < lastWords {
		return unix.ENOSPC
	}
	return errors.New("containerd's shim could not write to it")
}

// rescued is a stream of the command that is not in its log any more.
type rescued struct {
	pipe   *os.File
	stream int
	bytes  int64
	done   chan struct{}
}

// copy copies the stream to out until its end, also if out cannot be written any more.
func (r *rescued) copy(out io.Writer) {
	defer close(r.done)
	defer r.pipe.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := r.pipe.Read(buf)
		r.bytes += int64(n)
		if out != nil && n > 0 {
			if _, err := out.Write(buf[:n]); err != nil {
				out = nil
			}
		}
		if err != nil {
			return
		}
	}
}

// rescueEnd is how long the rest of a stream may take after the command has ended.
const rescueEnd = time.Second

// rescued waits for the end of the rescued streams, and records how much of them is not in
// the logs.
func (x *execution) rescued() {
	for _, r := range x.rescues {
		r.pipe.SetReadDeadline(time.Now().Add(rescueEnd))
		<-r.done
		dropped := &x.record().StdoutDropped
		if r.stream == 1 {
			dropped = &x.record().StderrDropped
		}
		*dropped += r.bytes
	}
}
