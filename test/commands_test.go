package test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
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

// eventually COMMAND...: tries the command until it succeeds, or with ! until it
// fails, for 30 s; it is bin/eventually, which the scripts' shell commands call too.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: eventually command...")
	}
	if neg {
		args = append([]string{"!"}, args...)
	}
	ts.Check(ts.Exec("eventually", args...))
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
	if raced {
		limit *= 10 // what the race detector may take
	}
	bin, err := binaries()
	ts.Check(err)
	var n counter
	cmd := exec.Command(filepath.Join(bin, args[1]), args[2:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), &n, ts.Stderr()
	cmd.Env = append(os.Environ(), "CONTAINERD_ADDRESS="+ts.Getenv("CONTAINERD_ADDRESS"))
	ts.Check(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	// Not what wait4(2) reports: that includes the memory of this process when it forked.
	var took int64
	for err, waiting := error(nil), true; waiting; {
		select {
		case err = <-ended:
			ts.Check(err)
			waiting = false
		case <-time.After(20 * time.Millisecond):
			took = max(took, highWater(cmd.Process.Pid)>>10)
		}
	}
	fmt.Fprintln(ts.Stdout(), int64(n))
	if took == 0 {
		ts.Fatalf("%s ended before its memory was looked at", args[1])
	}
	if took > limit {
		ts.Fatalf("%s took %d MiB of memory, more than %d", args[1], took, limit)
	}
}

// highWater returns the most memory that a process has had so far, in KiB; 0 if it has ended.
func highWater(pid int) (kib int64) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if _, rest, ok := strings.Cut(string(status), "VmHWM:"); ok {
		fmt.Sscan(rest, &kib)
	}
	return kib
}

type counter int64

func (n *counter) Write(p []byte) (int, error) {
	*n += counter(len(p))
	return len(p), nil
}
