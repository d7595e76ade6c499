package test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The bench is for people to look at: what is tested is that each row runs, and that nothing
// is left behind. No time is judged.
func TestBench(t *testing.T) {
	t.Parallel()
	cmd, temporary := bench(t, "-short")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	for _, row := range []string{"step", "exec", "parallel", "write", "start of link", "prepare without image", "commit of many files", "commit of one large file",
		"prepare --cached", "null build", "prune", "stdout to a pipe", "stdout to a file", "null build among many", "show, each line", "chain", "fan"} {
		if !strings.Contains("\n"+string(out), "\n"+row+" ") {
			t.Errorf("no line for %q in:\n%s", row, out)
		}
	}
	if !strings.Contains(errs.String(), "not kept") {
		t.Errorf("nobody is told that short results are not kept:\n%s", errs.String())
	}
	nothing(t, temporary)
}

func TestBenchInterrupted(t *testing.T) {
	t.Parallel()
	cmd, temporary := bench(t, "parallel")
	errs := filepath.Join(t.TempDir(), "errs")
	f, err := os.Create(errs)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd.Stderr = f
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := func(words string) bool {
		text, _ := os.ReadFile(errs)
		return strings.Contains(string(text), words)
	}
	if !within(limit, func() bool { return said("parallel: ") }) {
		t.Error("the row has not begun")
	}
	time.Sleep(time.Second) // into its steps
	cmd.Process.Signal(syscall.SIGTERM)
	cmd.Wait()
	if status := cmd.ProcessState.ExitCode(); status != 1 || !said("bench: interrupted") {
		text, _ := os.ReadFile(errs)
		t.Errorf("status %d\n%s", status, text)
	}
	nothing(t, temporary)
}

// bench returns the command, and the directory below which it may make what it needs.
func bench(t *testing.T, args ...string) (*exec.Cmd, string) {
	t.Helper()
	dir := verbs(t)
	program := filepath.Join(t.TempDir(), "bench")
	build := exec.Command("go", "build", "-o", program, "./bench")
	build.Dir, build.Env = "..", append(site.caller, "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// A short name: the path of a socket below has 104 bytes at most.
	temporary, err := os.MkdirTemp("", "b")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, program, append([]string{"-bin", dir}, args...)...)
	cmd.Dir, cmd.Env = "..", append(os.Environ(), "TMPDIR="+temporary)
	return cmd, temporary
}

// nothing fails the test if anything is left in a directory, or if a process has it in its
// arguments.
func nothing(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left in the temporary directory: %v %v", left, err)
	}
	commands, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range commands {
		if line, _ := os.ReadFile(path); bytes.Contains(line, []byte(dir)) {
			t.Errorf("still running: %q", line)
		}
	}
}
