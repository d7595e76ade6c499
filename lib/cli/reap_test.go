package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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

// reap has a verb reap these runs.
func reap(t *testing.T, ids []string, args ...string) {
	t.Helper()
	status, _, stdout, stderr := called(t, Verb{}, func(c *Call) (int, error) {
		c.Reap(ids)
		return StatusDone, nil
	}, args...)
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
	reap(t, []string{"r1", "r2"}, "--workdir", "a b", "-w", "ws", "--address", "/s", "--namespace", "ns", "--rpc-timeout", "7s")
	want := strings.Join([]string{"--quiet", "--workdir=" + dir + "/a b", "--workspace=ws", "--address=/s", "--namespace=ns", "--rpc-timeout=7s", "--reap=r1", "--reap=r2", ""}, "\n")
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
	reap(t, []string{"r"})
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

// Without runs there is nothing to reap, and without a pipex-prune nobody to do it: then
// the next prune does, and the verb has not failed.
func TestReapOfNothing(t *testing.T) {
	pruner(t)
	c := new(Call)
	c.Reap(nil) // which looks at nothing
	t.Setenv("PATH", t.TempDir())
	reap(t, []string{"r"})
	if path := c.sibling("pipex-no-such-verb"); path != "" {
		t.Errorf("%q", path)
	}
}
