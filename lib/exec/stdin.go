package exec

import (
	"context"
	"io"
	"os"
	"sync"

	"pipex/lib/internal/containerd"

	"golang.org/x/sys/unix"
)

// input is the FIFO through which a command gets its standard input. A nil input is an
// empty one.
type input struct {
	name string
	from *os.File
	to   *os.File
	once sync.Once
}

// openStdin creates the FIFO, or returns nil if there is no standard input to pass on.
func (x *execution) openStdin() (*input, error) {
	if x.Stdin == nil {
		return nil, nil
	}
	name, err := x.ws.Scratch(x.run.ID)
	if err != nil {
		return nil, err
	}
	if err := unix.Mkfifo(name, 0o600); err != nil {
		return nil, &os.PathError{Op: "mkfifo", Path: name, Err: err}
	}
	// Opening it read-write does not wait for the shim to open the other end.
	to, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		os.Remove(name)
		return nil, err
	}
	return &input{name: name, from: x.Stdin, to: to}, nil
}

func (in *input) path() string {
	if in == nil {
		return ""
	}
	return in.name
}

// unlink removes the FIFO's name, which is not needed once both ends are open.
func (in *input) unlink() {
	if in != nil {
		in.once.Do(func() { os.Remove(in.name) })
	}
}

// copy copies the input to the command in the background. It may go on after the command
// has ended without reading everything.
func (in *input) copy(ctx context.Context, task *containerd.Task) {
	if in == nil {
		return
	}
	go func() {
		io.Copy(in.to, in.from)
		in.to.Close()
		task.CloseStdin(context.WithoutCancel(ctx))
	}()
}
