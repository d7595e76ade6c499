package verb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"pipex/lib/container"
	"pipex/lib/workspace"
)

// errNoTerminal says that there is none to give to the command.
var errNoTerminal = errors.New("-t needs a terminal, and there is none: leave it out in scripts and pipes")

// terminal is the caller's, which the command's own one follows; nil for none.
// containerd writes what comes out of a terminal from the beginning of a file on:
// so that goes to a file of its own first, and on to the log from there.
type terminal struct {
	file *os.File
	raw  bool // typing is passed on as it comes
}

// openTerminal finds the caller's terminal, if one is asked for: standard input
// where that is passed on, else standard output.
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

// create makes the file that containerd writes to.
func (t *terminal) create(run workspace.Run, cfg *container.Config) error {
	if t == nil {
		return nil
	}
	cfg.Terminal, cfg.Stdout, cfg.Stderr = true, run.Terminal(), ""
	return os.WriteFile(cfg.Stdout, nil, 0o600)
}

// attach has the command's terminal be as large as the caller's, whatever
// becomes of that, and takes typing as it comes. restore undoes it.
func (t *terminal) attach(ctx context.Context, task *container.Task) (restore func()) {
	if t == nil {
		return func() {}
	}
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, unix.SIGWINCH)
	resize := func() {
		// What cannot be resized is so small a matter that nobody wants to hear of it.
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

// followTerminal passes on to the log what comes out of the command's terminal;
// the log's end tells how far that has come.
func (x *execution) followTerminal() error {
	log, err := os.OpenFile(x.run.Stdout(), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	info, err := log.Stat()
	if err != nil {
		return err
	}
	f, err := container.Follow(x.run.Terminal(), info.Size()-x.record().StdoutOffset, 0, log)
	if err != nil {
		return fmt.Errorf("cannot follow the terminal: %w", err)
	}
	x.logs = append(x.logs, f)
	return nil
}
