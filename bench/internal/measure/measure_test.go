package measure

import (
	"context"
	"errors"
	"testing"
	"time"
)

// busy uses CPU for about 200 ms, less on a machine that is faster than any.
const busy = `i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done`

func meter(t *testing.T, ctx context.Context) *Meter {
	t.Helper()
	m, err := New(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// cpu is the CPU time of a script, and how long it worked in the background.
func cpu(t *testing.T, m *Meter, script string) Sample {
	t.Helper()
	samples, err := m.Rounds([]Subject{{Do: func(*Sample) error {
		_, err := m.Run(Command{Args: []string{"sh", "-c", script}})
		return err
	}}}, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	return samples[0][0]
}

func TestOrphansCount(t *testing.T) {
	m := meter(t, t.Context())
	nothing, own := cpu(t, m, ":"), cpu(t, m, busy)
	orphan := cpu(t, m, "(setsid sh -c '"+busy+"' &) </dev/null >/dev/null 2>&1")
	if own.CPU < 2*nothing.CPU {
		t.Skipf("too fast: %s and %s", nothing.CPU, own.CPU)
	}
	if orphan.CPU < own.CPU/2 {
		t.Errorf("an orphan's CPU time is %s, the same in the foreground takes %s", orphan.CPU, own.CPU)
	}
	if orphan.Background < orphan.CPU/2 {
		t.Errorf("an orphan that used %s was in the background for %s", orphan.CPU, orphan.Background)
	}
}

func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	m := meter(t, ctx)
	r, err := m.Run(Command{Args: []string{"sh", "-c", "pwd; echo $A"}, Dir: "/", Env: []string{"A=1"}})
	if err != nil || r.Out != "/\n1" || r.Peak == 0 {
		t.Errorf("%+v %v", r, err)
	}
	var failure *Failure
	if _, err := m.Run(Command{Args: []string{"sh", "-c", "echo why >&2; exit 3"}}); !errors.As(err, &failure) || failure.Status.ExitStatus() != 3 || failure.Stderr != "why" {
		t.Errorf("status 3: %v", err)
	}
	if _, err := m.Run(Command{Args: []string{"sh", "-c", "sleep 100 & wait"}, Limit: 10 * time.Millisecond}); err == nil || errors.As(err, &failure) {
		t.Errorf("too long: %v", err)
	}
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := m.Run(Command{Args: []string{"sleep", "100"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := m.Heedless().Run(Command{Args: []string{"true"}}); err != nil {
		t.Errorf("cleaning up: %v", err)
	}
}

func TestTurns(t *testing.T) {
	m := meter(t, t.Context())
	var order string
	subject := func(name string) Subject {
		return Subject{Do: func(s *Sample) error {
			order += name
			s.Set("own", 1)
			return nil
		}}
	}
	samples, err := m.Rounds([]Subject{subject("a"), subject("b"), subject("c")}, 1, 2)
	if err != nil || order != "abcbcacab" || len(samples) != 3 || len(samples[2]) != 2 || samples[2][1].Own["own"] != 1 {
		t.Errorf("%s %v %v", order, samples, err)
	}
}
