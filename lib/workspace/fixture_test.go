package workspace

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain lets a test run this binary as another process: if $ACT is set, it performs
// that act in the workspace $DIR and exits.
func TestMain(m *testing.M) {
	act, known := acts[os.Getenv("ACT")]
	if !known {
		os.Exit(m.Run())
	}
	ws, err := Open(os.Getenv("DIR"), "ws")
	if err == nil {
		err = act(ws)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// acts are what another process can do.
var acts = map[string]func(*Workspace) error{
	"hold": func(ws *Workspace) error {
		if _, err := ws.HoldRun("run", "exec"); err != nil {
			return err
		}
		if _, err := ws.HoldCache(context.Background(), "cache", "exec", nil); err != nil {
			return err
		}
		fmt.Println("held")
		time.Sleep(time.Hour)
		return nil
	},
	"link": func(ws *Workspace) error {
		for i := range 10 {
			if err := ws.Link(context.Background(), "step", fmt.Sprintf("run%d", i%4)); err != nil {
				return err
			}
		}
		return ws.Link(context.Background(), "own"+os.Getenv("N"), "run0")
	},
}

// other returns the command that performs act in another process.
func other(ws *Workspace, workdir, act string, env ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), append(env, "ACT="+act, "DIR="+workdir)...)
	cmd.Stderr = os.Stderr
	return cmd
}

func newWorkspace(t *testing.T) (ws *Workspace, workdir string) {
	t.Helper()
	workdir = t.TempDir()
	ws, err := Create(workdir, "ws")
	ok(t, err)
	return ws, workdir
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// stage makes an open run that holds files.
func stage(t *testing.T, ws *Workspace, m Meta, files ...string) Run {
	t.Helper()
	shared, err := ws.Shared(context.Background())
	ok(t, err)
	run, err := ws.Stage(&m, shared, func(r Run) error {
		for _, name := range files {
			if err := os.WriteFile(r.Artifacts()+"/"+name, []byte("content of "+name), 0o644); err != nil {
				return err
			}
		}
		return nil
	})
	ok(t, err)
	return run
}

// commit makes a committed run of that name.
func commit(t *testing.T, ws *Workspace, m Meta) Run {
	t.Helper()
	m.Status = Success
	run, err := ws.Commit(context.Background(), stage(t, ws, m, "f"), &m)
	ok(t, err)
	return run
}

// names lists a directory of the workspace.
func names(t *testing.T, ws *Workspace, dir ...string) []string {
	t.Helper()
	entries, err := os.ReadDir(ws.path(dir...))
	ok(t, err)
	list := []string{}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func mkfifo(path string) error { return unix.Mkfifo(path, 0o600) }
