package test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pipex "pipex/lib"
)

// library is a new workspace that uses the tests' containerd.
func library(t *testing.T) *pipex.Workspace {
	t.Helper()
	ws, err := pipex.Create(t.TempDir(), "default")
	if err != nil {
		t.Fatal(err)
	}
	ws.Containerd.Address = containerd(t)
	ws.Warn = func(err error) { t.Logf("warning: %v", err) }
	return ws
}

// openRun makes an open run of a shell script, which is discarded when the test ends.
func openRun(t *testing.T, ws *pipex.Workspace, script string) pipex.Run {
	t.Helper()
	s := pipex.Spec{Image: "busybox"}
	s.Cmd = []string{"sh", "-c", script}
	prepared, err := ws.Prepare(t.Context(), pipex.Prepare{Spec: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ws.Discard(context.Background(), prepared.RunID); err != nil {
			t.Error(err)
		}
	})
	r, err := ws.Run(prepared.RunID)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The zero Exec runs the command without input, and discards what it writes, more than a
// pipe holds, but for the logs.
func TestLibraryExecOfZeroOptions(t *testing.T) {
	t.Parallel()
	ws := library(t)
	r := openRun(t, ws, `cat; seq 100000; seq 100000 >&2; exit 7`)
	if status, err := ws.Exec(t.Context(), r.ID, pipex.Exec{}); status != 7 || err != nil {
		t.Fatalf("%d, %v", status, err)
	}
	var want bytes.Buffer
	for i := range 100000 {
		fmt.Fprintln(&want, i+1)
	}
	for _, log := range []string{r.Stdout(), r.Stderr()} {
		if got, err := os.ReadFile(log); err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%s: %d bytes, want %d; %v", filepath.Base(log), len(got), want.Len(), err)
		}
	}
	if m, err := r.Meta(); err != nil || m.ExitCode == nil || *m.ExitCode != 7 {
		t.Errorf("%+v, %v", m, err)
	}
	// One of the two may be wanted alone.
	var out strings.Builder
	status, err := ws.Exec(t.Context(), r.ID, pipex.Exec{Cmd: []string{"sh", "-c", "echo out; echo err >&2"}, Stdout: &out})
	if status != 0 || err != nil || out.String() != "out\n" {
		t.Errorf("%d, %v, %q", status, err, out.String())
	}
}

// A Shell sees what the run wrote, and the zero one executes sh without input.
func TestLibraryShell(t *testing.T) {
	t.Parallel()
	ws := library(t)
	r := openRun(t, ws, `echo x >/output/f; exit 7`)
	if status, err := ws.Exec(t.Context(), r.ID, pipex.Exec{}); status != 7 || err != nil {
		t.Fatalf("%d, %v", status, err)
	}
	var out strings.Builder
	opt := pipex.Shell{Options: pipex.Exec{Cmd: []string{"sh", "-c", "cat /output/f; echo y >/output/f; exit 5"}, Stdout: &out}}
	if status, err := ws.Shell(t.Context(), r.ID, opt); status != 5 || err != nil || out.String() != "x\n" {
		t.Errorf("%d, %v, %q", status, err, out.String())
	}
	if status, err := ws.Shell(t.Context(), r.ID, pipex.Shell{}); status != 0 || err != nil {
		t.Errorf("%d, %v", status, err)
	}
	if data, err := os.ReadFile(filepath.Join(r.Artifacts(), "f")); string(data) != "x\n" {
		t.Errorf("the artifact is now %q, %v", data, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if status, err := ws.Shell(ctx, r.ID, pipex.Shell{}); err == nil {
		t.Errorf("a call that is cancelled before it began: %d", status)
	}
}

// A command that has timed out is given time to end by itself, unless it is to have none.
func TestLibraryGrace(t *testing.T) {
	const script = `trap 'sleep 1; touch /output/ended; exit 0' TERM; touch /output/begun; while :; do sleep 0.1; done`
	for what, c := range map[string]struct {
		grace time.Duration
		ends  bool // by itself
		code  int  // the command's own
	}{
		"zero":     {0, true, 0},
		"enough":   {time.Minute, true, 0},
		"too few":  {100 * time.Millisecond, false, 137},
		"negative": {-1, false, 137},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			ws := library(t)
			r := openRun(t, ws, script)
			if status, err := ws.Exec(t.Context(), r.ID, pipex.Exec{Timeout: 3 * time.Second, Grace: c.grace}); status != 124 || err != nil {
				t.Fatalf("%d, %v", status, err)
			}
			if _, err := os.Stat(filepath.Join(r.Artifacts(), "begun")); err != nil {
				t.Fatalf("the command was ended before it began: %v", err)
			}
			if _, err := os.Stat(filepath.Join(r.Artifacts(), "ended")); (err == nil) != c.ends {
				t.Errorf("it ended by itself: %v, want %v", err == nil, c.ends)
			}
			m, err := r.Meta()
			if err != nil {
				t.Fatal(err)
			}
			if e := m.Execs[0]; !e.TimedOut || e.ExitCode == nil || *e.ExitCode != c.code {
				t.Errorf("%+v", e)
			}
		})
	}
}

// A whole step: prepared, executed, committed and named.
func Example() {
	ctx := context.Background()
	workdir, err := os.MkdirTemp("", "pipex-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(workdir)
	address, err := daemon() // a containerd that has the image busybox
	if err != nil {
		fmt.Println(err)
		return
	}

	ws, err := pipex.Create(workdir, "default")
	if err != nil {
		fmt.Println(err)
		return
	}
	ws.Containerd.Address = address
	step := pipex.Spec{Step: "count", Image: "busybox"}
	step.Cmd = []string{"sh", "-c", "seq 3 | tee /output/numbers"}
	prepared, err := ws.Prepare(ctx, pipex.Prepare{Spec: step})
	if err != nil {
		fmt.Println(err)
		return
	}
	status, err := ws.Exec(ctx, prepared.RunID, pipex.Exec{Stdout: os.Stdout})
	fmt.Println("status", status, err)
	if _, err = ws.Commit(ctx, prepared.RunID, pipex.Commit{}); err == nil {
		err = ws.Link(ctx, "count", prepared.RunID)
	}
	if err != nil {
		fmt.Println(err)
		return
	}

	// The same again is there already.
	again, err := ws.Prepare(ctx, pipex.Prepare{Spec: step, Cached: true})
	if err == nil {
		fmt.Println(again.UpToDate, again.RunID == prepared.RunID)
	}
	// Output:
	// 1
	// 2
	// 3
	// status 0 <nil>
	// true true
}
