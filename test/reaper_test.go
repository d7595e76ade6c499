package test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pipex/test/proxy"
)

// reapers are the processes that remove in the background what the workbench's verbs have left.
func (b *workbench) reapers() (pids []int) {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range all {
		line, _ := os.ReadFile(file)
		words := strings.Split(string(line), "\x00")
		if len(words) > 2 && words[0] == filepath.Join(verbs(b), "pipex-prune") && strings.Contains(string(line), "\x00--reap\x00--linger=") &&
			strings.Contains(string(line), "\x00--workdir="+filepath.Join(b.dir, "workdir")+"\x00") {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// killReaper kills the reapers that run now.
func (b *workbench) killReaper() (killed int) {
	for _, pid := range b.reapers() {
		if unix.Kill(pid, unix.SIGKILL) == nil {
			killed++
		}
	}
	return killed
}

// own is what a reaper that waits has open: its connections, and what Go's runtime needs.
var own = regexp.MustCompile(`^(/dev/null|socket:\[\d+\]|anon_inode:\[event.*\]|/sys/fs/cgroup/.*)$`)

// openFiles are the files that a reaper has open and should not have while it waits.
func (b *workbench) openFiles(pid int) (open []string) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	fds, err := os.ReadDir(dir)
	if err != nil || len(fds) < 4 {
		return []string{fmt.Sprintf("%d descriptors: %v", len(fds), err)}
	}
	for _, fd := range fds {
		to, _ := os.Readlink(filepath.Join(dir, fd.Name()))
		if !own.MatchString(to) {
			open = append(open, to)
		}
	}
	return open
}

// A reaper keeps nothing of the verb that has started it: no pipe or terminal, nothing of
// make's jobserver, not the working directory. While it waits for more, it has no file of the
// workspace open.
func TestReaperKeepsNothing(t *testing.T) {
	t.Parallel()
	b := newWorkbench(t, t.TempDir())
	b.must("pipex-prepare", "--run-id", "r", "--image", "busybox", "--", "true")
	b.must("mkfifo", filepath.Join(b.dir, "jobserver"))
	exec := b.command("sh", "-c", `exec 7<>jobserver 9>file; exec script -qec "pipex-exec r" typescript`)
	if err := exec.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	for end := time.Now().Add(limit); pid == 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		if pids := b.reapers(); len(pids) > 0 {
			pid = pids[0]
		}
	}
	var open []string
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if open = b.openFiles(pid); len(open) == 0 {
			break // it waits for more
		}
	}
	if len(open) > 0 {
		t.Errorf("reaper %d has open: %q", pid, open)
	}
	if dir, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err != nil || dir != "/" {
		t.Errorf("its working directory is %q, %v", dir, err)
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(stat), ") ")
	if f := strings.Fields(rest); err != nil || len(f) < 5 || f[3] != strconv.Itoa(pid) || f[4] != "0" {
		t.Errorf("it is not in a session of its own without a terminal: %s, %v", stat, err)
	}
	if err := exec.Wait(); err != nil {
		t.Error(err)
	}
	b.must("pipex-commit", "r")
	b.until("it ends", func() bool { return len(b.reapers()) == 0 })
	b.clean()
}

// The socket of a shim is gone when the container is.
func TestReaperLeavesNoSocket(t *testing.T) {
	t.Parallel()
	b := newWorkbench(t, t.TempDir())
	b.must("pipex-prepare", "--run-id", "r", "--image", "busybox", "--", "sh", "-c", "until test -e /output/go; do sleep 0.1; done")
	b.note()
	exec := b.command("pipex-exec", "r")
	if err := exec.Start(); err != nil {
		t.Fatal(err)
	}
	b.until("there is a socket", func() bool { return len(b.sockets()) == 1 })
	if err := os.WriteFile(b.path("staging", "r", "artifacts", "go"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := exec.Wait(); err != nil {
		t.Error(err)
	}
	b.must("pipex-discard", "r")
	b.until("it is gone", func() bool { return len(b.sockets()) == 0 })
}

// When exec returns, all that the command wrote is on its stdout and in the logs, although the
// container is removed later. The command writes most of it at its end, also to stderr.
func TestExecReturnsWithCompleteLogs(t *testing.T) {
	t.Parallel()
	b := newWorkbench(t, t.TempDir())
	for i := range times(6, 60) {
		id := fmt.Sprint("r", i)
		b.must("pipex-prepare", "--run-id", id, "--image", "busybox", "--", "sh", "-c",
			"[ $1 = 0 ] || sleep 0.$1; seq 1 600000 & seq 1 300000 >&2; wait; echo last; echo last >&2", "sh", strconv.Itoa(i%3))
		var out, errs bytes.Buffer
		exec := b.command("pipex-exec", id)
		exec.Stdout, exec.Stderr = &out, &errs
		if err := exec.Run(); err != nil {
			t.Fatal(err)
		}
		for name, passed := range map[string]*bytes.Buffer{"stdout.log": &out, "stderr.log": &errs} {
			log, err := os.ReadFile(b.path("staging", id, name))
			if err != nil || !bytes.Equal(log, passed.Bytes()) || !bytes.HasSuffix(log, []byte("\nlast\n")) {
				t.Errorf("%s has %d bytes, %d were passed on: %v", name, len(log), passed.Len(), err)
			}
		}
		if lines := bytes.Count(out.Bytes(), []byte("\n")); lines != 600001 {
			t.Errorf("%d lines", lines)
		}
		b.must("pipex-discard", id)
	}
}

// One exec after the other, each as soon as the one before has returned, while a reaper removes
// their containers or is killed at that: each runs its command once and returns its status.
func TestFaultExecAgainWhileReaped(t *testing.T) {
	t.Parallel()
	random := dice(t)
	b := newWorkbench(t, t.TempDir())
	b.must("pipex-prepare", "--run-id", "r", "--image", "busybox", "--", "true")
	var want strings.Builder
	killed := 0
	for i := range times(40, 400) {
		status, out, stderr := b.call("pipex-exec", "r", "--", "sh", "-c", fmt.Sprintf("echo %d | tee -a /tmp/all; exit %d", i, i%100))
		fmt.Fprintln(&want, i)
		if status != i%100 || out != strconv.Itoa(i) || strings.Contains(stderr, "attach") {
			t.Fatalf("exec %d: status %d, %q, %q", i, status, out, stderr)
		}
		time.Sleep(time.Duration(random.Intn(4)*random.Intn(20)) * time.Millisecond)
		if random.Intn(3) == 0 {
			killed += b.killReaper()
		}
	}
	if log := b.must("cat", b.path("staging", "r", "stdout.log")) + "\n"; log != want.String() {
		t.Errorf("the log has %q", log)
	}
	if layer := b.must("pipex-exec", "r", "--", "cat", "/tmp/all") + "\n"; layer != want.String() {
		t.Errorf("the writable layer has %q", layer)
	}
	if killed == 0 {
		t.Error("no reaper was killed")
	}
	b.must("pipex-discard", "r")
	b.must("pipex-prune")
	b.clean()
}

// A reaper that is killed at any moment, while steps go on, has changed no result. Prune then
// removes all that is left.
func TestFaultReaperKilled(t *testing.T) {
	t.Parallel()
	random := dice(t)
	b := newWorkbench(t, t.TempDir())
	killed, n := 0, 0
	for range times(6, 80) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 4 {
				n++
				id := fmt.Sprint("r", n)
				b.must("pipex-prepare", "--run-id", id, "--image", "busybox", "--", "sh", "-c", "echo ran >>/output/f")
				b.must("pipex-exec", id)
				switch n % 3 {
				case 0:
					b.must("pipex-discard", id)
					b.must("pipex-prepare", "--run-id", id, "--image", "busybox", "--", "sh", "-c", "test ! -e /tmp/f && cat /output/* 2>/dev/null; echo x >/tmp/f")
					if out := b.must("pipex-exec", id); out != "" {
						b.Errorf("run %s sees %q of the one that had its id", id, out)
					}
					b.must("pipex-discard", id)
				case 1:
					b.must("pipex-exec", id)
					fallthrough
				default:
					b.must("pipex-commit", id)
				}
			}
		}()
		for stopped := false; !stopped; {
			select {
			case <-done:
				stopped = true
			case <-time.After(time.Duration(random.Intn(150)) * time.Millisecond):
				killed += b.killReaper()
			}
		}
		b.must("pipex-prune")
		b.clean()
		b.verified()
		if t.Failed() {
			t.FailNow()
		}
	}
	if killed == 0 {
		t.Error("no reaper was killed")
	}
}

// A removal that hangs or fails holds up neither exec nor commit nor discard, and none of them
// says anything. Prune removes later what is left.
func TestFaultRemovalFails(t *testing.T) {
	for name, fault := range map[string]proxy.Fault{
		"hangs": {Action: proxy.Hang, Lasting: true}, "fails": {Lasting: true}, "cut": {Action: proxy.Cut, Lasting: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newWorkbench(t, t.TempDir())
			p, socket := between(t)
			through := *b
			through.address = socket
			prepare := func(id string) {
				b.must("pipex-prepare", "--run-id", id, "--image", "busybox", "--", "echo", "x")
			}
			prepare("first")
			through.must("pipex-exec", "first")
			b.idle()
			at := 1 + slices.IndexFunc(p.Calls(), func(call string) bool { return strings.HasSuffix(call, ".Tasks/Delete") })
			if at == 0 {
				t.Fatalf("nothing is removed: %q", p.Calls())
			}
			for i, last := range []string{"commit", "discard"} {
				id := fmt.Sprint("r", i)
				prepare(id)
				p.Break(at, fault)
				for _, verb := range []string{"exec", last} {
					// A removal hangs for as long as the test does not end it, and a call that waits
					// for it takes too long.
					status, _, stderr := through.call("pipex-"+verb, id)
					if status != 0 || stderr != "" {
						t.Errorf("%s: status %d: %s", verb, status, stderr)
					}
				}
				b.until("a removal is tried", func() bool { return p.Struck() != "" })
				p.Mend()
				p.Cut()
				b.idle()
				p.Pass()
			}
			if b.exists("staging", "r0") || b.exists("staging", "r1") || !b.exists("runs", "r0") {
				t.Error("the runs are not where they belong")
			}
			b.must("pipex-discard", "first")
			b.must("pipex-prune")
			b.clean()
			b.verified()
		})
	}
}

// Prune waits for a containerd that hangs as long as for one call, however many notes it has
// to work off there.
func TestFaultNotesOfHungContainerd(t *testing.T) {
	b := newWorkbench(t, t.TempDir())
	p, socket := between(t)
	through := *b
	through.address = socket
	b.must("pipex-prepare", "--run-id", "r")
	b.must("mkdir", b.path(".pipex", "reap"))
	for i := range 8 {
		note := fmt.Sprintf(`{"id": "x%d", "address": %q, "namespace": "n", "snapshotter": "overlayfs", "patience": 500000000}`, i, socket)
		if err := os.WriteFile(b.path(".pipex", "reap", fmt.Sprintf("x%d.all", i)), []byte(note), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.Break(1, proxy.Fault{Action: proxy.Hang, Lasting: true})
	status, _, stderr := through.call("pipex-prune", "--rpc-timeout", "1s")
	removals := slices.DeleteFunc(p.Calls(), func(call string) bool { return !strings.HasSuffix(call, ".Tasks/Delete") })
	if status == 0 || len(removals) == 0 || len(removals) > 2 || strings.Count(stderr, "has not answered") < 1 {
		t.Errorf("status %d, calls %q: %s", status, removals, stderr)
	}
	p.Pass()
	through.must("pipex-prune")
	if left, err := os.ReadDir(b.path(".pipex", "reap")); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}
