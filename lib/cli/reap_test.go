package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pipex/lib/cli/traced"
	"pipex/lib/run"
	"pipex/lib/workspace"
)

// pruner puts a pipex-prune on PATH that writes down how it is called, and returns what
// reads that, once it has been.
func pruner(t *testing.T) (said func() string) {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\n" +
		`cd "` + dir + `" && {` + "\n" +
		`printf '%s\n' "$@"` + "\n" +
		`echo "dir $OLDPWD, session $(ps -o sid= -p $$ | tr -d ' '), process $$"` + "\n" +
		"ls -l /proc/$$/fd\n" +
		`} >said.new; mv said.new said` + "\n"
	if err := os.WriteFile(filepath.Join(dir, "pipex-prune"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return func() string {
		for range 100 {
			if text, err := os.ReadFile(filepath.Join(dir, "said")); err == nil {
				return string(text)
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Fatal("no reaper ran")
		return ""
	}
}

// reap has a verb start a reaper for the workspace "ws" in dir.
func reap(t *testing.T, dir string, args ...string) {
	t.Helper()
	if _, err := workspace.Create(dir, "ws"); err != nil {
		t.Fatal(err)
	}
	status, _, stdout, stderr := called(t, Verb{}, func(c *Call) (int, error) {
		c.Reap()
		return StatusDone, nil
	}, append([]string{"--workdir", dir, "-w", "ws"}, args...)...)
	if status != 0 || stdout+stderr != "" {
		t.Errorf("%d, %q, %q", status, stdout, stderr)
	}
}

// The reaper works where the verb did, whatever directory it is in itself, and is told
// nothing by the environment that the verb was told by options.
func TestReaperIsToldWhere(t *testing.T) {
	said := pruner(t)
	dir := t.TempDir()
	t.Chdir(dir)
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	reap(t, "a b", "--address", "s", "--namespace", "ns", "--rpc-timeout", "7s")
	want := strings.Join([]string{"--quiet", "--workdir=" + dir + "/a b", "--workspace=ws", "--address=" + dir + "/s", "--namespace=ns", "--rpc-timeout=7s", "--reap", "--linger=500ms", ""}, "\n")
	if got := said(); !strings.HasPrefix(got, want+"dir /,") {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Nobody waits for the reaper: it has a session of its own, and none of the descriptors
// that the verb has, one to which a reader waits for the end included.
func TestReaperIsOnItsOwn(t *testing.T) {
	said := pruner(t)
	var pipe [2]int
	if err := unix.Pipe(pipe[:]); err != nil { // without close-on-exec, as make hands its own down
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	reap(t, t.TempDir())
	text := said()
	_, line, _ := strings.Cut(text, "session ")
	session, process, _ := strings.Cut(strings.SplitN(line, "\n", 2)[0], ", process ")
	if session == "" || session != process {
		t.Errorf("session %q of process %q", session, process)
	}
	if strings.Contains(text, "-> pipe:") {
		t.Errorf("it has a pipe: %s", text)
	}
	for _, fd := range []string{"0", "2"} {
		if !strings.Contains(text, " "+fd+" -> /dev/null\n") {
			t.Errorf("descriptor %s is the caller's: %s", fd, text)
		}
	}
}

// A trace that goes to a file goes to that file; stderr is not the reaper's.
func TestReaperTraces(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for set, want := range map[string]string{"f": dir + "/f", dir + "/g": dir + "/g", "1": "0", "0": "0", "": ""} {
		t.Setenv("PIPEX_TRACE", set)
		traced.Begin("test")
		env := traced.Detached()
		cmd := exec.Command("sh", "-c", `printf %s "$PIPEX_TRACE"`)
		cmd.Env = env
		if got, err := cmd.Output(); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v, want %q", set, got, err, want)
		}
		if err := traced.End(0, false); err != nil {
			t.Error(err)
		}
	}
}

// Without a workspace there is nothing to reap, if a reaper runs it is rung for, and without a
// pipex-prune nobody starts: then the next prune does the work, and the verb has not failed.
func TestReapWithoutReaper(t *testing.T) {
	dir := t.TempDir()
	ws, err := workspace.Create(dir, "ws")
	if err != nil {
		t.Fatal(err)
	}
	bell, err := run.Listen(ws)
	if err != nil {
		t.Fatal(err)
	}
	defer bell.Close()
	reap(t, dir)
	if !bell.Rung(t.Context(), 0) {
		t.Error("it is not rung for")
	}
	t.Setenv("PATH", t.TempDir())
	reap(t, t.TempDir())
	if path, err := new(Call).sibling("pipex-no-such-verb"); err == nil {
		t.Errorf("%q", path)
	}
}
