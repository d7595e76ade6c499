package exec

import (
	"context"
	"time"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/network"
	"pipex/lib/internal/trace"
	"pipex/lib/run"
	"pipex/lib/workspace"
)

// leave copies the rest of the logs of a task whose end is recorded to the caller, has the
// task removed, and returns its status. The removal takes longer than everything else that
// exec does after the command has ended, so it is handed over: a note says that exec has done
// its part. As long as there is a task and no note, another exec can still get its status.
func (x *execution) leave(ctx context.Context, task *containerd.Task) (int, error) {
	handOver := x.complete && x.mayHandOver()
	if !handOver {
		if err := x.remove(ctx, task); err != nil {
			return 0, err
		}
	}
	_, part := trace.Start(ctx, "copy the rest of the logs")
	for _, log := range x.logs {
		x.Warning(log.Stop())
	}
	part.End()
	x.unreserve()
	if err := x.cut(); err != nil {
		return 0, err
	}
	if handOver {
		if err := run.HandOver(x.Place, x.ws, x.run.ID, x.meta.Container, true); err == nil {
			x.Reap()
		} else if err := x.remove(ctx, task); err != nil { // the disk is full
			return 0, err
		}
	}
	x.tell()
	if x.record().TimedOut {
		return TimedOutCode, nil
	}
	return *x.record().ExitCode, nil
}

// mayHandOver reports whether the removal of the task can be left to a reaper. An address or a
// port of a network is free again when exec returns. The output of a terminal is in a file
// that exec removes.
func (x *execution) mayHandOver() bool {
	return x.Reap != nil && !x.Once && !x.record().Terminal && !x.network().Attached()
}

// remove removes the task and its network. After that all that the command wrote is in the logs.
func (x *execution) remove(ctx context.Context, task *containerd.Task) error {
	if err := task.Delete(ctx); err != nil {
		return err
	}
	return network.Remove(ctx, x.meta.Container.ID)
}

// writing is how long the shim may take to write the last of a command's output to the logs
// before exec deletes the task, which waits for that as well.
const writing = 2 * time.Second

// written waits until the shim has closed the logs of a command that has ended, and reports
// whether it has: then all that the command wrote is in them.
func (x *execution) written(task *containerd.Task) bool {
	if !x.mayHandOver() {
		return false // nobody asks
	}
	_, part := trace.Start(context.Background(), "wait until the logs are written")
	defer part.End()
	end := time.Now().Add(writing)
	for pause := time.Millisecond; ; pause *= 2 {
		open, err := task.ShimHas(x.run.Stdout(), x.run.Stderr())
		if err != nil || open && time.Now().After(end) {
			return false // it was killed, or is not ours to look at, or hangs
		}
		if !open {
			return true
		}
		select {
		case <-x.logs[0].Left():
		case <-x.logs[1].Left():
		case <-time.After(pause):
		}
	}
}

// settle removes the container of an earlier exec that has handed that over, if no reaper has
// removed it yet. Then the name is free for a new one.
func (x *execution) settle(ctx context.Context) error {
	if notes, err := x.ws.HasNotes(x.run.ID); err != nil || !notes {
		return err
	}
	waiting, done := Interruptible(ctx, x.Signals)
	lock, err := run.HoldContainer(waiting, x.Place, x.ws, x.run.ID)
	if interrupted := done(); interrupted != nil {
		lock.Release()
		return interrupted
	}
	if err != nil {
		return err
	}
	defer lock.Release()
	if notes, err := x.ws.HasNotes(x.run.ID); err != nil || !notes {
		return err // a reaper was at it
	}
	if n, err := x.ws.ReadNote(workspace.Note{Run: x.run.ID, Task: true}); err == nil && !n.Here() {
		return nil // its machine removes that
	}
	if err := x.client.RemoveEnded(ctx, x.meta.Container.ID); err != nil {
		return err
	}
	return x.ws.DropNotes(x.run.ID)
}
