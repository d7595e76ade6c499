package workspace

import (
	"bufio"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestRunIsHeldOnce(t *testing.T) {
	ws, _ := newWorkspace(t)
	held, err := ws.HoldRun("run", "exec")
	ok(t, err)
	_, err = ws.HoldRun("run", "discard")
	var busy *BusyError
	if !errors.As(err, &busy) || busy.By == nil || busy.By.PID != os.Getpid() || busy.By.Verb != "exec" {
		t.Fatalf("got %v", err)
	}
	if msg := err.Error(); !strings.Contains(msg, `run "run" is in use by pipex-exec, process `) || !strings.Contains(msg, ", since 20") {
		t.Errorf("the message is %q", msg)
	}
	other, err := ws.HoldRun("another", "exec")
	ok(t, err)
	other.Release()
	held.Release()
	held.Release()
	again, err := ws.HoldRun("run", "discard")
	ok(t, err)
	again.Release()
	if left := names(t, ws, private, "holders"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// The kernel releases the locks of a process that is killed.
func TestLocksOfTheDeadAreFree(t *testing.T) {
	ws, workdir := newWorkspace(t)
	cmd := other(ws, workdir, "hold")
	out, err := cmd.StdoutPipe()
	ok(t, err)
	ok(t, cmd.Start())
	defer cmd.Wait()
	defer cmd.Process.Kill()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("%q, %v", line, err)
	}
	var busy *BusyError
	if _, err := ws.HoldRun("run", "prune"); !errors.As(err, &busy) || busy.By == nil || busy.By.PID != cmd.Process.Pid {
		t.Fatalf("got %v, want process %d", err, cmd.Process.Pid)
	}
	told := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-told
		cancel()
	}()
	if _, err := ws.HoldCache(ctx, "cache", "exec", func(err error) { told <- err }); !errors.Is(err, context.Canceled) {
		t.Fatalf("a wait that was cancelled ended with %v", err)
	}
	got := make(chan error)
	go func() {
		lock, err := ws.HoldCache(context.Background(), "cache", "exec", nil)
		lock.Release()
		got <- err
	}()
	select {
	case err := <-got:
		t.Fatalf("did not wait for the cache: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	ok(t, cmd.Process.Kill())
	ok(t, <-got)
	lock, err := ws.HoldRun("run", "prune")
	ok(t, err)
	lock.Release()
}

func TestMarkWaitsForReferences(t *testing.T) {
	ws, _ := newWorkspace(t)
	first, err := ws.Shared(context.Background())
	ok(t, err)
	second, err := ws.Shared(context.Background())
	ok(t, err)
	second.Release()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := ws.exclusive(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	first.Release()
	alone, err := ws.exclusive(context.Background())
	ok(t, err)
	defer alone.Release()
	if _, err := ws.try(unix.F_RDLCK, workspaceByte); !isHeld(err) {
		t.Errorf("got %v", err)
	}
}

// Held reports whether a run is held, and does not take its lock.
func TestHeldLooksOnly(t *testing.T) {
	ws, _ := newWorkspace(t)
	ok(t, ws.Held("run"))
	lock, err := ws.HoldRun("run", "exec")
	ok(t, err)
	var busy *BusyError
	if err := ws.Held("run"); !errors.As(err, &busy) || busy.By == nil || busy.By.Verb != "exec" {
		t.Errorf("%v", err)
	}
	ok(t, ws.Held("another"))
	lock.Release()
	ok(t, ws.Held("run"))
}

// A prune keeps what it says of the holder of a lock that is held, and removes the rest.
func TestHoldersAreSwept(t *testing.T) {
	ws, _ := newWorkspace(t)
	step, err := ws.HoldStep(t.Context(), "s", "step", nil)
	ok(t, err)
	_, background, err := ws.NewPipeline()
	ok(t, err)
	p, _ := ws.Pipelines()
	p[0].Adopt(background.File())
	ok(t, os.WriteFile(ws.holderPath("step", "dead"), []byte("{}"), 0o666))
	_, err = ws.Prune(t.Context(), PruneOptions{}, func(string) {})
	ok(t, err)
	if left := names(t, ws, private, "holders"); !slices.Equal(left, []string{"pipeline-" + p[0].ID, "step-s"}) {
		t.Error(left)
	}
	step.Release()
	background.Release()
}

// A child that has been forked and has not called execve(2) yet has the open files of this
// process. What it holds so does not outlive the release of the lock.
func TestAForkedChildKeepsNoLock(t *testing.T) {
	ws, _ := newWorkspace(t)
	held, err := ws.HoldRun("run", "exec")
	ok(t, err)
	child, err := unix.Dup(int(held.file.Fd())) // as fork(2) does
	ok(t, err)
	defer unix.Close(child)
	held.Release()
	if err := ws.Held("run"); err != nil {
		t.Error(err)
	}
}

// Who looks at a run waits as long as a killed process needs to die, and no longer.
func TestLookAtWaitsForTheDying(t *testing.T) {
	ws, _ := newWorkspace(t)
	held, err := ws.HoldRun("run", "exec")
	ok(t, err)
	var busy *BusyError
	if _, err := ws.LookAt("run", "shell"); !errors.As(err, &busy) || busy.By == nil || busy.By.Verb != "exec" {
		t.Fatalf("got %v", err)
	}
	time.AfterFunc(dying/10, held.Release)
	look, err := ws.LookAt("run", "shell")
	ok(t, err)
	other, err := ws.LookAt("run", "shell")
	ok(t, err)
	other.Release()
	look.Release()
}
