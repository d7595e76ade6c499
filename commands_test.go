package pipex_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"pipex/lib/run"
	"pipex/lib/run/reap"
	"pipex/lib/workspace"
)

// exits N COMMAND...: the command must end with status N.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits N command...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%s: %v", args[1], err)
	}
	got := 0
	if exit != nil {
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("%s exited with %d, want %d", args[1], got, want)
	}
}

// run NAME COMMAND...: what the command prints, less its line end, becomes $NAME.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: run NAME command...")
	}
	ts.Check(ts.Exec(args[1], args[2:]...))
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// owned N: within 10 seconds, so many ids own something in containerd on behalf of the
// script's workspaces.
func owned(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: owned N")
	}
	var objects []reap.Object
	for start := time.Now(); time.Since(start) < 10*time.Second; time.Sleep(50 * time.Millisecond) {
		var err error
		objects, err = objectsBelow(ts.MkAbs("."))
		ts.Check(err)
		if strconv.Itoa(len(objects)) == args[0] {
			return
		}
	}
	ts.Fatalf("containerd holds something for %d runs, want %s: %v", len(objects), args[0], objects)
}

// objectsBelow lists what containerd holds for workspaces below a directory.
func objectsBelow(dir string) ([]reap.Object, error) {
	var all []reap.Object
	for _, pattern := range []string{".", "*", "*/*"} {
		workdirs, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return nil, err
		}
		for _, workdir := range workdirs {
			objects, err := reap.Owned(context.Background(), place(workdir))
			if err != nil {
				return nil, err
			}
			all = append(all, objects...)
		}
	}
	return all, nil
}

func place(workdir string) run.Place {
	p := run.Place{Workdir: workdir, Workspace: "sweeper"}
	p.Address = site.address
	return p
}

// release drops whatever a script has left in containerd: the workspaces are removed,
// and prune in another workspace beside them finds what was theirs.
func release(env *testscript.Env) {
	objects, err := objectsBelow(env.WorkDir)
	if err != nil {
		return
	}
	for _, o := range objects {
		os.RemoveAll(o.Workdir)
		workdir := filepath.Dir(o.Workdir)
		if _, err := workspace.Create(workdir, "sweeper"); err == nil {
			reap.Prune(context.Background(), place(workdir), reap.PruneOptions{}, func(string) {})
		}
	}
}

// remember DIR: keeps what the directory holds, for same.
func remember(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: remember DIR")
	}
	ts.Setenv("REMEMBERED", contents(ts, args[0]))
}

// same DIR: the directory holds, byte for byte, what it did when remembered.
func same(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: same DIR")
	}
	if now := contents(ts, args[0]); now != ts.Getenv("REMEMBERED") {
		ts.Fatalf("%s has changed:\nbefore\n%s\nafter\n%s", args[0], ts.Getenv("REMEMBERED"), now)
	}
}

// contents lists a directory: names, modes, and the digests of files.
func contents(ts *testscript.TestScript, dir string) string {
	var b strings.Builder
	root := ts.MkAbs(dir)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		what := ""
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			what, err = os.Readlink(path)
		case d.Type().IsRegular():
			var data []byte
			data, err = os.ReadFile(path)
			what = fmt.Sprintf("%x", sha256.Sum256(data))
		}
		fmt.Fprintln(&b, info.Mode(), strings.TrimPrefix(path, root), what)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return "absent"
	}
	ts.Check(err)
	return b.String()
}

// peak N COMMAND...: the command succeeds and takes N MiB of memory at most. What it
// prints is counted, and the count printed instead.
func peak(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: peak N command...")
	}
	limit, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	path, err := exec.LookPath(filepath.Join(site.bin, args[1]))
	ts.Check(err)
	var n counter
	cmd := exec.Command(path, args[2:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), &n, ts.Stderr()
	cmd.Env = append(os.Environ(), "CONTAINERD_ADDRESS="+site.address)
	ts.Check(cmd.Run())
	fmt.Fprintln(ts.Stdout(), int64(n))
	if took := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss >> 10; took > limit {
		ts.Fatalf("%s took %d MiB of memory, more than %d", args[1], took, limit)
	}
}

type counter int64

func (n *counter) Write(p []byte) (int, error) {
	*n += counter(len(p))
	return len(p), nil
}
