package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"pipex/lib/cli"
	"pipex/lib/cli/traced"
	"pipex/lib/pipeline"
	"pipex/lib/workspace"
)

// lockFile is the file descriptor by which the process in the background gets the lock of
// its pipeline: there is no moment at which nobody holds it.
const lockFile = 3

// detach starts this program again, in a session of its own, and prints the id under
// which --attach finds it.
func detach(c *cli.Call, p *pipeline.Pipeline) error {
	ws, err := workspace.Create(c.Place().Workdir, p.Workspace)
	if err != nil {
		return err
	}
	detached, lock, err := ws.NewPipeline()
	if err != nil {
		return err
	}
	defer lock.Release()
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot find this program: %w", err)
	}
	errors, err := os.Create(detached.Errors())
	if err != nil {
		return fmt.Errorf("cannot write to the directory of the pipeline: %w", err)
	}
	defer errors.Close()
	cmd := exec.Command(self, append([]string{"--detached=" + detached.ID}, os.Args[1:]...)...)
	cmd.Args[0] = program()
	cmd.Env = traced.Environ()
	cmd.Stderr, cmd.ExtraFiles = errors, []*os.File{lock.File()}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start the pipeline: %w", err)
	}
	lock.HandOver()
	c.Say("goes on in the background; pipex-run --attach %s shows it, --stop %s ends it", detached.ID, detached.ID)
	return c.Print(struct {
		ID        string `json:"id"`
		Workspace string `json:"workspaceId"`
	}{detached.ID, ws.ID}, detached.ID)
}

// runDetached runs the pipeline in the background: its events go to a file.
func runDetached(c *cli.Call, p *pipeline.Pipeline, force []string, id string) (int, error) {
	syscall.CloseOnExec(lockFile) // make and the steps must not keep the lock
	ws, err := workspace.Open(c.Place().Workdir, p.Workspace)
	if err != nil {
		return 0, err
	}
	detached, err := choose([]*workspace.Workspace{ws}, id)
	if err != nil {
		return 0, err
	}
	defer detached.Adopt(os.NewFile(lockFile, "lock")).Release()
	events, err := os.OpenFile(detached.Events(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return 0, fmt.Errorf("cannot write events: %w", err)
	}
	defer events.Close()
	return runTo(c, p, force, pipeline.View{Out: events, Err: io.Discard})
}

// stopDetached sends the pipeline the signal of --stop, as kill(1) would. A pipeline that
// has ended is stopped already.
func stopDetached(c *cli.Call) error {
	detached, err := detachedOf(c)
	if err != nil {
		return err
	}
	live, by, err := detached.Live()
	switch host, _ := os.Hostname(); {
	case err != nil || !live:
		return err
	case by == nil:
		return fmt.Errorf("cannot stop pipeline %q: nobody knows its process", detached.ID)
	case by.Host != host:
		return fmt.Errorf("cannot stop pipeline %q here: it is process %d on %s", detached.ID, by.PID, by.Host)
	}
	if err := syscall.Kill(by.PID, syscall.SIGTERM); err != nil && err != syscall.ESRCH {
		return fmt.Errorf("cannot stop pipeline %q: %w", detached.ID, err)
	}
	return nil
}

// detachedOf is the pipeline that the operand names, in the workspace or, if none is
// named, in any of the workdir; the newest without an operand.
func detachedOf(c *cli.Call) (detached workspace.Pipeline, err error) {
	if err := c.Operands(0, 1); err != nil {
		return detached, err
	}
	ids := []string{c.String("workspace")}
	if ids[0] == "" {
		ids[0] = os.Getenv("PIPEX_WORKSPACE")
	}
	workdir := c.Place().Workdir
	if ids[0] == "" {
		if ids, err = workspace.List(workdir); err != nil {
			return detached, err
		}
	}
	var all []*workspace.Workspace
	for _, id := range ids {
		ws, err := workspace.Open(workdir, id)
		if err != nil {
			return detached, err
		}
		all = append(all, ws)
	}
	return choose(all, strings.Join(c.Args, ""))
}

// choose returns the pipeline whose id begins with a prefix; the newest if it is empty.
func choose(workspaces []*workspace.Workspace, prefix string) (found workspace.Pipeline, err error) {
	matches := 0
	for _, ws := range workspaces {
		pipelines, err := ws.Pipelines()
		if err != nil {
			return found, err
		}
		for _, p := range pipelines {
			if !strings.HasPrefix(p.ID, prefix) {
				continue
			}
			if matches++; p.ID > found.ID {
				found = p
			}
			if p.ID == prefix {
				return p, nil
			}
		}
	}
	switch {
	case matches == 0 && prefix == "":
		return found, fmt.Errorf("%w: no pipeline was detached here; pipex-run --detach does", workspace.ErrNoRun)
	case matches == 0:
		return found, fmt.Errorf("%w: no pipeline %q was detached here", workspace.ErrNoRun, prefix)
	case matches > 1 && prefix != "":
		return found, fmt.Errorf("%w: %d pipelines begin with %q", workspace.ErrNoRun, matches, prefix)
	}
	return found, nil
}
