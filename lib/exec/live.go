package exec

import (
	"context"
	"errors"
	"os"
	"time"

	"pipex/lib/workspace"
)

// live lets whoever waits for the run on another machine know that this process lives: it
// writes a heartbeat, again and again, until alive is called. If nobody waits any more, since the run
// was given up or removed, it ends the context and closes x.unwanted: then the command is killed.
func (x *execution) live(ctx context.Context) (_ context.Context, alive func()) {
	ctx, cancel := context.WithCancel(ctx)
	x.unwanted, x.asked = make(chan struct{}), make(chan os.Signal, 64)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		beat := time.NewTicker(workspace.Pulse)
		defer beat.Stop()
		for n := 1; ; n++ {
			select {
			case <-stop:
				return
			case <-beat.C:
				if wanted := x.run.Beat(n); !wanted {
					cancel()
					close(x.unwanted)
					return
				}
				if sig := x.run.Asked(); sig != 0 {
					x.asked <- sig
				}
			}
		}
	}()
	return ctx, func() {
		close(stop)
		<-stopped
		x.run.StopBeating()
		cancel()
	}
}

// errExecuting says that the run may be executing elsewhere.
var errExecuting = errors.New("may be executing")

// mayRemove reports whether what the run owns in this containerd can be removed when Exec returns
// with err.
func (x *execution) mayRemove(err error) bool { return !errors.Is(err, errExecuting) }
