package run

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"pipex/lib/workspace"
)

// Carried is a pipex-exec that a program carries to another machine.
type Carried struct {
	Workspace *workspace.Workspace
	Run       string
	// Meta is the run's record before.
	Meta *workspace.Meta
	// Interactive says that it reads standard input.
	Interactive bool
}

// ErrNoExec says that a command line is not that of a pipex-exec.
var ErrNoExec = errors.New("pipex-exec, --workdir=DIR, --workspace=NAME and a RUN are wanted, as pipex-step gives them")

// ParseCarried reads the command line of a pipex-exec, as pipex-step writes it. The error wraps [ErrNoExec] if it is another one.
func ParseCarried(args []string) (*Carried, error) {
	value := func(option string) string {
		for _, a := range args {
			if v, ok := strings.CutPrefix(a, option+"="); ok {
				return v
			}
		}
		return ""
	}
	dir, id := value("--workdir"), value("--workspace")
	if len(args) < 2 || filepath.Base(args[0]) != "pipex-exec" || dir == "" || id == "" {
		return nil, ErrNoExec
	}
	ws, err := workspace.Open(dir, id)
	if err != nil {
		return nil, err
	}
	c := &Carried{Workspace: ws, Run: args[len(args)-1], Interactive: slices.Contains(args, "-i")}
	r, err := ws.OpenRun(c.Run)
	if err == nil {
		c.Meta, err = r.Meta()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot execute it elsewhere: %w", err)
	}
	return c, nil
}

// Ask has the exec pass a signal on to its command, within some seconds; see [workspace.Run.Ask]. It reports whether there is
// an exec.
func (c *Carried) Ask(sig syscall.Signal) bool {
	r, err := c.Workspace.OpenRun(c.Run)
	return err == nil && c.Workspace.Held(c.Run) != nil && r.Ask(sig) == nil
}
