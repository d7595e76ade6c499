package exec

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/trace"
)

// finish waits for the command, records how it ended, and leaves the task.
func (x *execution) finish(ctx context.Context, task *containerd.Task) (int, error) {
	x.waiting = true
	// From here on only signals and the timeout end the command, not ctx.
	ctx = context.WithoutCancel(ctx)
	exit, timedOut, err := x.wait(ctx, task)
	if err != nil {
		return x.failed(err)
	}
	x.complete = x.written(task)
	for _, log := range x.logs {
		log.Ended()
	}
	x.rescued()
	code := exit.Code
	if timedOut {
		code = TimedOutCode
	}
	x.record().TimedOut = timedOut
	x.record().Error = "" // an exec that lost the task may have left one
	x.record().Usage = x.usage(task)
	if err := x.end(exit.At, &exit.Code, code); err != nil {
		return 0, err
	}
	return x.leave(ctx, task)
}

// wait waits for the task, forwards signals to it, and ends it at its timeout.
func (x *execution) wait(ctx context.Context, task *containerd.Task) (exit containerd.Exit, timedOut bool, err error) {
	type result struct {
		exit containerd.Exit
		err  error
	}
	ended := make(chan result, 1)
	ctx, waiting := trace.Start(ctx, "wait for the command")
	_, command := trace.Start(ctx, "command")
	defer func() {
		traceEnd(command, exit, err)
		waiting.End()
	}()
	go func() {
		exit, err := task.Wait(ctx)
		ended <- result{exit, err}
	}()
	left := x.left()
	if x.attached && !x.record().Terminal {
		// The shim may have closed a log before anybody watched it.
		x.rescue(ctx, task, 0)
		x.rescue(ctx, task, 1)
	}
	timeout := x.timeout()
	var kill, again <-chan time.Time
	urgent, unwanted := 0, x.unwanted
	for {
		select {
		case r := <-ended:
			return r.exit, timedOut, r.err
		case <-left[0]:
			x.rescue(ctx, task, 0)
			again = time.After(closing)
		case <-left[1]:
			x.rescue(ctx, task, 1)
			again = time.After(closing)
		case <-again:
			again = nil
			x.rescue(ctx, task, 0)
			if !x.record().Terminal {
				x.rescue(ctx, task, 1)
			}
		case <-timeout:
			timedOut, timeout = true, nil
			kill = time.After(x.grace())
			x.Warning(task.Signal(ctx, syscall.SIGTERM))
		case <-unwanted:
			unwanted = nil
			x.forwarded = true
			x.Warning(fmt.Errorf("the command is ended: run %q has been given up or removed meanwhile", x.run.ID))
			x.Warning(task.Kill(ctx))
		case <-kill:
			x.Warning(task.Kill(ctx))
		case sig := <-x.Signals:
			urgent = x.forward(ctx, task, sig, urgent)
		case sig := <-x.asked:
			urgent = x.forward(ctx, task, sig, urgent)
		}
	}
}

// closing is how long the shim may take to close the second of the two descriptors that it has of a log: the event comes
// with the first.
const closing = 200 * time.Millisecond

// forward passes a signal on to the command, and kills it at the second SIGINT or SIGTERM, of which urgent came before.
func (x *execution) forward(ctx context.Context, task *containerd.Task, sig os.Signal, urgent int) int {
	x.forwarded = true
	if sig == syscall.SIGINT || sig == syscall.SIGTERM {
		urgent++
	}
	if urgent > 1 {
		x.Warning(task.Kill(ctx))
	} else if s, ok := sig.(syscall.Signal); ok {
		x.Warning(task.Signal(ctx, s))
	}
	return urgent
}

// traceEnd ends the part that is the command's own time: what comes before it and after it,
// until its end is noticed, is ours.
func traceEnd(command *trace.Span, exit containerd.Exit, err error) {
	switch {
	case err != nil:
		command.Fail(err.Error())
		command.End()
		return
	case exit.Code != 0:
		command.Fail("exit status " + strconv.Itoa(exit.Code))
	}
	command.SetInt("process.exit.code", exit.Code)
	command.EndAt(exit.At)
}

// grace returns how long the command may take to end after its timeout.
func (x *execution) grace() time.Duration {
	if x.Grace == 0 {
		return DefaultGrace
	}
	return max(x.Grace, 0)
}

// limit returns how long the command may run; zero for no limit.
func (x *execution) limit() time.Duration {
	if x.Timeout != 0 {
		return x.Timeout
	}
	return time.Duration(x.meta.TimeoutMs) * time.Millisecond
}

// timeout returns a channel that fires at the command's timeout. The time counts from the
// start of the exec, also for an exec that attached later.
func (x *execution) timeout() <-chan time.Time {
	limit := x.limit()
	if limit == 0 {
		return nil
	}
	return time.After(time.Until(x.record().StartedAt.Add(limit)))
}
