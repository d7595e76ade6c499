package exec

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"pipex/lib/step"
	"pipex/lib/workspace"
)

// A signal ends what comes before the command, and afterwards it is the command's.
func TestInterruptible(t *testing.T) {
	signals := make(chan os.Signal, 1)
	x := &execution{Options: Options{Signals: signals}}
	ctx, done := Interruptible(t.Context(), x.Signals)
	signals <- syscall.SIGTERM
	<-ctx.Done()
	var interrupted *InterruptedError
	if err := done(); !errors.As(err, &interrupted) || interrupted.Signal != syscall.SIGTERM || !strings.Contains(err.Error(), "terminated") {
		t.Errorf("%v", err)
	}

	_, done = Interruptible(t.Context(), x.Signals)
	if err := done(); err != nil {
		t.Error(err)
	}
	signals <- syscall.SIGINT
	select {
	case <-signals:
	default:
		t.Error("the command's signal was taken")
	}
	x.Signals = nil
	_, done = Interruptible(t.Context(), x.Signals)
	done()
}

// A signal that arrives before the command begins is the command's, or it ends the exec. It
// is never lost.
func TestASignalBeforeTheCommand(t *testing.T) {
	for _, caches := range [][]step.Cache{nil, {{Name: "a", Path: "/a", Exclusive: true}}} {
		x := prepared(t, step.Pinned{CacheMounts: caches})
		signals := make(chan os.Signal, 1)
		x.Signals = signals
		for range 100 {
			signals <- syscall.SIGTERM
			var interrupted *InterruptedError
			if err := x.holdCaches(t.Context()); err != nil && !errors.As(err, &interrupted) {
				t.Fatal(err)
			}
			x.release()
			x.caches = nil
			select {
			case <-signals:
				if interrupted != nil {
					t.Fatal("the signal comes twice")
				}
			default:
				if interrupted == nil {
					t.Fatalf("caches %v: the signal is lost", caches)
				}
			}
		}
	}
}

// An exclusive cache is waited for until ctx or a signal ends that, and then none is held.
func TestHoldCachesGivesUp(t *testing.T) {
	x := prepared(t, step.Pinned{CacheMounts: []step.Cache{{Name: "b", Path: "/b", Exclusive: true}, {Name: "a", Path: "/a", Exclusive: true}, {Name: "c", Path: "/c"}}})
	held, err := x.ws.HoldCache(t.Context(), "b", "test", nil)
	ok(t, err)
	defer held.Release()
	signals := make(chan os.Signal, 1)
	x.Signals = signals
	waiting := make(chan error, 1)
	x.Warn = func(err error) {
		waiting <- err
		signals <- syscall.SIGINT
	}
	var interrupted *InterruptedError
	if err := x.holdCaches(t.Context()); !errors.As(err, &interrupted) {
		t.Errorf("%v", err)
	}
	var busy *workspace.BusyError
	if err := <-waiting; !errors.As(err, &busy) || !strings.Contains(err.Error(), `cache "b"`) {
		t.Errorf("nobody was told what it waits for: %v", err)
	}
	if len(x.caches) != 1 {
		t.Errorf("%d caches are held: a comes before b, and c is not exclusive", len(x.caches))
	}
	x.release()
	free, err := x.ws.HoldCache(t.Context(), "a", "test", func(err error) { t.Errorf("after release: %v", err) })
	ok(t, err)
	free.Release()

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	x.Warn = nil
	if err := x.holdCaches(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	x.release()
}

// -t without a terminal is refused before anything is begun.
func TestTerminalWithoutOne(t *testing.T) {
	x := prepared(t, step.Pinned{})
	null, err := os.Open(os.DevNull)
	ok(t, err)
	defer null.Close()
	for _, o := range []Options{{Terminal: true}, {Terminal: true, Stdin: null}, {Terminal: true, Stdout: null}, {Terminal: true, Stdout: new(strings.Builder)}} {
		x.Options = o
		if term, err := x.openTerminal(); term != nil || !errors.Is(err, errNoTerminal) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	x.Options = Options{}
	if term, err := x.openTerminal(); term != nil || err != nil {
		t.Errorf("%v", err)
	}
	untouched(t, x)
}

// The FIFO of an input has a name only until both ends have it, and none without an input.
func TestStdin(t *testing.T) {
	x := prepared(t, step.Pinned{})
	in, err := x.openStdin()
	if in != nil || err != nil || in.path() != "" {
		t.Errorf("%+v, %v", in, err)
	}
	in.unlink() // of none
	in.copy(t.Context(), nil)

	null, err := os.Open(os.DevNull)
	ok(t, err)
	defer null.Close()
	x.Stdin = null
	in, err = x.openStdin()
	ok(t, err)
	defer in.to.Close()
	if info, err := os.Stat(in.path()); err != nil || info.Mode().Type() != os.ModeNamedPipe || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	in.unlink()
	in.unlink()
	untouched(t, x)
}
