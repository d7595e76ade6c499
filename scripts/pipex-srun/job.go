package main

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"pipex/lib/run"
)

// job is one call.
type job struct {
	*run.Carried
	args []string
}

// parse reads the command line of a pipex-exec.
func parse(args []string) (*job, error) {
	c, err := run.ParseCarried(args)
	return &job{c, args}, err
}

// do runs srun, and returns the status of the record.
func (j *job) do() (int, error) {
	words := strings.Fields(os.Getenv("PIPEX_SRUN"))
	if len(words) == 0 {
		words = []string{"srun"}
	}
	inside := os.Getenv("SLURM_JOB_ID") != ""
	words = append(words, request(j.Meta, inside, os.Getenv("SLURM_STEP_ID") != "", j.Interactive)...)
	words = append(words, j.args[0], "--cgroup-parent=self")
	words = append(words, j.args[1:]...)
	before := len(j.Meta.Execs)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = environment(os.Environ())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	if err := cmd.Start(); err != nil {
		return statusLost, err
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait() // what it returns says nothing
		close(ended)
	}()
	for waiting := true; waiting; {
		select {
		case <-ended:
			waiting = false
		case sig := <-signals:
			j.pass(cmd, sig.(syscall.Signal))
		}
	}
	// The record is there, or the exec is lost; or it goes on without srun, and then a signal still reaches it.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		for sig := range signals {
			if !j.Ask(sig.(syscall.Signal)) {
				cancel()
			}
		}
	}()
	status, err := run.Await(ctx, j.Workspace, j.Run, before, run.Patience, func(host string) {
		say("srun has ended, and run %s goes on on %q", j.Run, host)
	})
	if !cmd.ProcessState.Exited() { // srun was killed
		if r, err := j.Workspace.OpenRun(j.Run); err == nil {
			if m, err := r.Meta(); err == nil {
				run.EndJob(m)
			}
		}
	}
	if err != nil {
		return statusLost, err
	}
	return status, nil
}

// pass passes a signal on. srun would kill pipex-exec by SIGTERM and by SIGHUP, and its container would go on: so
// pipex-exec is asked by a file. Before it has begun, srun is what is to end.
func (j *job) pass(cmd *exec.Cmd, sig syscall.Signal) {
	if !j.Ask(sig) {
		cmd.Process.Signal(syscall.SIGTERM)
	}
}
