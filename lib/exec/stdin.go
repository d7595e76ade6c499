package exec

import (
	"context"
	"io"
	"os"
	"sync"

	"pipex/lib/internal/containerd"

	"golang.org/x/sys/unix"
)

// input is the FIFO through which a command gets its standard input; nil for a
// command without one.
type input struct {
	name string
	from *os.File
	to   *os.File
	once sync.Once
}

// openStdin makes the FIFO, if there is a standard input to pass on.
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
	// Read-write, so that neither we nor the shim wait for each other to open.
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

// unlink removes the FIFO's name, which nobody needs once both ends have it.
func (in *input) unlink() {
	if in != nil {
		in.once.Do(func() { os.Remove(in.name) })
	}
}

// copy passes the input on until it ends, in the background: a command may end
// without having read it.
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
