package exec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/follow"
	"pipex/lib/internal/oci"
	"pipex/lib/workspace"
)

// errNoTerminal says that there is no terminal to give to the command.
var errNoTerminal = errors.New("-t needs a terminal, and there is none; leave it out in scripts and pipes")

// terminal is the caller's terminal; nil if the command has none. containerd does not
// append a terminal's output to a file but overwrites the file from its beginning. So it
// gets a file of its own, from which exec copies the output to the end of the log.
type terminal struct {
	file *os.File
	raw  bool // each key is passed on at once
}

// openTerminal returns the caller's terminal if the command is to have one. That is
// standard input if it is passed on, else standard output.
func (x *execution) openTerminal() (*terminal, error) {
	if !x.Terminal {
		return nil, nil
	}
	t := &terminal{file: x.Stdin, raw: x.Stdin != nil}
	if t.file == nil {
		t.file, _ = x.Stdout.(*os.File)
	}
	if t.file == nil || !term.IsTerminal(int(t.file.Fd())) {
		return nil, errNoTerminal
	}
	return t, nil
}

// create creates the file that containerd writes to.
func (t *terminal) create(run workspace.Run, c *oci.Container) error {
	if t == nil {
		return nil
	}
	c.Terminal, c.Stdout, c.Stderr = true, run.Terminal(), ""
	return os.WriteFile(c.Stdout, nil, 0o600)
}

// attach keeps the command's terminal at the size of the caller's, and passes on each key
// at once. restore ends this and restores the caller's terminal.
func (t *terminal) attach(ctx context.Context, task *containerd.Task) (restore func()) {
	if t == nil {
		return func() {}
	}
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, unix.SIGWINCH)
	resize := func() {
		// Errors are ignored: a wrong size does little harm.
		if width, height, err := term.GetSize(int(t.file.Fd())); err == nil && width > 0 {
			task.Resize(ctx, width, height)
		}
	}
	resize()
	go func() {
		for range resized {
			resize()
		}
	}()
	var before *term.State
	if t.raw {
		before, _ = term.MakeRaw(int(t.file.Fd()))
	}
	return func() {
		signal.Stop(resized)
		close(resized)
		if before != nil {
			term.Restore(int(t.file.Fd()), before)
		}
	}
}

// followTerminal starts to copy the output of the command's terminal to the log. The
// size of the log says how much an exec that died had already copied.
func (x *execution) followTerminal() error {
	log, err := os.OpenFile(x.run.Stdout(), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	info, err := log.Stat()
	if err != nil {
		return err
	}
	f, err := follow.Start(x.run.Terminal(), info.Size()-x.record().StdoutOffset, 0, log)
	if err != nil {
		return fmt.Errorf("cannot follow the terminal: %w", err)
	}
	x.logs = append(x.logs, f)
	return nil
}
