package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pipex/lib/workspace"
)

// Await waits for an exec on another machine, and believes nothing but the run's record, which that exec writes.
//
// The run is followed as long as its exec lives: it holds the run's lock, and with
// pipex-exec --once it writes a heartbeat. The lock alone does not do, since a machine that hangs, or one
// that is cut off for shorter than its file server waits, keeps it. Only the
// content of the heartbeat and this machine's own clock decide.

// Patience is how long a heartbeat may be missing until a run is given up: long enough for a file server
// to restart.
const Patience = time.Minute

// LostError says that an exec ended without a result, or that nothing is heard of it.
type LostError struct {
	Run string
	// Host is the machine on which it was; empty if it left no record.
	Host string
	// Why says why it is taken for lost.
	Why string
}

func (e *LostError) Error() string {
	on := ""
	if e.Host != "" {
		on = fmt.Sprintf(" on %q", e.Host)
	}
	return fmt.Sprintf("run %q%s is lost: %s", e.Run, on, e.Why)
}

// Result returns the exit status of the run's command as pipex-exec returned it, if the record has one that is younger than
// its first before execs. If pipex-exec itself failed, that is a [*LostError].
func Result(m *workspace.Meta, before int) (status int, ended bool, err error) {
	if len(m.Execs) <= before || m.ExitCode == nil || m.Status == workspace.Running {
		return 0, false, nil
	}
	if last := &m.Execs[len(m.Execs)-1]; last.ExitCode == nil && !last.TimedOut {
		return *m.ExitCode, true, &LostError{m.RunID, last.Host, last.Error}
	}
	return *m.ExitCode, true, nil
}

// Await waits until an exec of an open run that began after the first before execs of its record has ended, and
// returns its status; see [Result]. If the exec is lost, the error is a [*LostError]; was it heard of and then no
// more for patience, the run is given up, and can only be discarded. waiting, which may be nil, is called once if the exec is still
// alive, with the machine on which it is. Await takes no lock.
func Await(ctx context.Context, ws *workspace.Workspace, id string, before int, patience time.Duration, waiting func(host string)) (int, error) {
	heard, since, host := "", time.Now(), ""
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		// First the lock, then the record: an exec writes the record and then releases the lock.
		held := ws.Held(id)
		r, err := ws.OpenRun(id)
		if err != nil {
			return 0, err
		}
		m, err := r.Meta()
		if err != nil {
			return 0, err
		}
		if len(m.Execs) > before {
			host = m.Execs[len(m.Execs)-1].Host
		}
		if busy := new(workspace.BusyError); held == nil {
			status, ended, err := Result(m, before)
			switch {
			case ended:
				return status, err
			case len(m.Execs) <= before:
				return 0, &LostError{id, "", "pipex-exec has not begun"}
			}
			return 0, &LostError{id, host, "pipex-exec ended without a result"}
		} else if !errors.As(held, &busy) {
			return 0, held
		} else if busy.By != nil && host == "" {
			host = busy.By.Host
		}
		if now := r.Heartbeat(); now != heard {
			heard, since = now, time.Now()
		}
		if time.Since(since) > patience {
			return 0, errors.Join(&LostError{id, host, fmt.Sprintf("nothing was heard of it for %s", patience)}, r.GiveUp())
		}
		if waiting != nil {
			waiting(host)
			waiting = nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(pause):
		}
	}
}
