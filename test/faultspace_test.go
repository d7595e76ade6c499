package test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// small mounts a file system of a few MiB, tmpfs or a loop-mounted ext4.
func small(t *testing.T, kind string) string {
	t.Helper()
	if kind == "ext4" {
		return mounted(t, 8<<20, "-m", "0")
	}
	return mounted(t, 4<<20)
}

// mounted mounts a tmpfs or, with options for mkfs.ext4, a loop-mounted ext4.
func mounted(t *testing.T, size int64, options ...string) string {
	t.Helper()
	dir := t.TempDir()
	mount := []string{"mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", size), "tmpfs", dir}
	if len(options) > 0 {
		image := filepath.Join(t.TempDir(), "image")
		if err := os.WriteFile(image, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(image, size); err != nil {
			t.Fatal(err)
		}
		if _, err := output("mkfs.ext4", append(options, "-q", image)...); err != nil {
			t.Fatal(err)
		}
		mount = []string{"mount", "-o", "loop", image, dir}
	}
	if _, err := output(mount[0], mount[1:]...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		var err error
		if !within(limit, func() bool { err = unix.Unmount(dir, 0); return err == nil }) {
			t.Errorf("unmount: %v", err)
			unix.Unmount(dir, unix.MNT_DETACH)
		}
	})
	return dir
}

// fill leaves no room for a byte more in the file system of dir; the file it
// returns is what to remove.
func fill(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err = f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	f.Sync()
	return path
}

func free(t *testing.T, filler string) {
	t.Helper()
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
}

// On a full disk each verb does its work or says that there is no space, and
// once there is, everything goes on from where it was. Nothing is lost; discard
// and prune, which make room, work on the full disk.
func TestFaultFullDisk(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"tmpfs", "ext4"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := small(t, kind)
			b := newWorkbench(t, dir)
			full := func() (filler string) { // what a reaper removes later would make room
				b.idle()
				return fill(t, dir)
			}
			refused := func(args ...string) {
				t.Helper()
				status, _, stderr := b.call(args...)
				if status == 0 || !strings.Contains(stderr, "no space left") || strings.Contains(stderr, "\n") {
					t.Errorf("%s on a full disk: status %d: %s", args[0], status, stderr)
				}
			}
			published(b, "old")
			b.must("pipex-link", "step", "old")

			// During exec: the step itself finds no space, and that is its failure. All that
			// it says about it is passed on and in its logs, and its result is recorded.
			run := b.must("pipex-prepare", "--image", "busybox", "--", "sh", "-c", "echo begun; cat /dev/zero >/output/zeros; echo last words >&2; exit 5")
			status, stdout, stderr := b.call("pipex-exec", run)
			if status != 5 || stdout != "begun" || !strings.Contains(stderr, "No space left") || !strings.HasSuffix(stderr, "last words") {
				t.Errorf("exec: status %d, %q, %q", status, stdout, stderr)
			}
			if log := b.must("cat", b.path("staging", run, "stderr.log")); log != stderr {
				t.Errorf("stderr.log: %q", log)
			}
			if is := b.must("jq", "-r", `"\(.status) \(.exitCode)"`, b.path("staging", run, "meta.json")); is != "failure 5" {
				t.Errorf("the record says %s", is)
			}
			// Less is needed to look at it.
			filler := full()
			if info, err := os.Stat(filler); err != nil || os.Truncate(filler, info.Size()-40<<10) != nil {
				t.Fatal("cannot make a little room")
			}
			if is := b.must("pipex-shell", run, "--", "ls", "/output"); is != "zeros" {
				t.Errorf("the shell sees %q", is)
			}
			free(t, filler)
			b.must("pipex-discard", run) // full as it is
			b.swept()

			run = b.must("pipex-prepare", "--image", "busybox", "--", "sh", "-c", "echo more >>/output/f")
			filler = full()
			refused("pipex-prepare", "--image", "busybox", "--", "true")
			refused("pipex-exec", run)
			free(t, filler)
			b.must("pipex-exec", run)

			filler = full()
			refused("pipex-commit", run)
			if !b.exists("staging", run) || b.exists("runs", run) {
				t.Error("half committed")
			}
			free(t, filler)
			b.must("pipex-commit", run)
			b.verified()

			filler = full()
			refused("pipex-link", "step", run)
			if now := b.must("pipex-link", "step"); now != "old" && now != run {
				t.Errorf("step names %s", now)
			}
			if !b.exists("step-runs", "step", "artifacts") {
				t.Error("the link is broken")
			}
			free(t, filler)
			b.must("pipex-link", "step", run)
			b.agreed()

			published(b, "spare")
			filler = full()
			if gone := b.must("pipex-prune", "--older-than", "0s"); gone != "old\nspare" {
				t.Errorf("prune removed %q", gone)
			}
			free(t, filler)
			b.reclaim()
			b.clean()
			b.verified()
		})
	}
}

// A step that fills the disk with what it prints is not stopped by that and does not wait
// for ever: what the log has no room for is still passed on.
func TestFaultFullLog(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"tmpfs", "ext4"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := newWorkbench(t, small(t, kind))
			run := b.must("pipex-prepare", "--image", "busybox", "--", "sh", "-c",
				"head -c 16m /dev/zero | tr '\\000' x; echo; echo the last line; echo an error >&2; exit 3")
			status, stdout, stderr := b.call("pipex-exec", run)
			if status != 3 || !strings.HasSuffix(stdout, "x\nthe last line") {
				t.Errorf("status %d, the end of stdout: %q", status, stdout[max(0, len(stdout)-20):])
			}
			// What containerd's shim had read and could not write is lost: a buffer at most.
			if lost := 16<<20 - strings.Count(stdout, "x"); lost < 0 || lost > 64<<10 {
				t.Errorf("%d bytes are lost", lost)
			}
			if !strings.Contains(stderr, "stdout.log of run \""+run+"\" is incomplete: no space left on device") || !strings.Contains(stderr, "an error") {
				t.Errorf("stderr: %q", stderr)
			}
			if is := b.must("jq", "-r", `"\(.status) \(.exitCode) \(.execs[0].stdoutDropped > 1000000)"`, b.path("staging", run, "meta.json")); is != "failure 3 true" {
				t.Errorf("the record says %s", is)
			}
			b.must("pipex-discard", run)
			b.swept()
			b.reclaim()
			b.clean()
		})
	}
}

// The same if exec was killed before the disk was full: the next one reads what the shim
// cannot write. A program that opens and closes a log changes nothing.
func TestFaultFullLogAttach(t *testing.T) {
	t.Parallel()
	b := newWorkbench(t, small(t, "tmpfs"))
	run := b.must("pipex-prepare", "--image", "busybox", "--", "sh", "-c",
		"echo begun; until [ -e /output/go ]; do sleep 0.1; done; head -c 16m /dev/zero | tr '\\000' x; echo; echo the last line; exit 3")
	first := b.command("pipex-exec", run)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	log := b.path("staging", run, "stdout.log")
	b.until("the command has begun", func() bool { data, _ := os.ReadFile(log); return len(data) > 0 })
	f, err := os.OpenFile(log, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	first.Process.Kill()
	first.Wait()
	if err := os.WriteFile(b.path("staging", run, "artifacts", "go"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	b.until("the disk is full", func() bool {
		var fs unix.Statfs_t
		return unix.Statfs(log, &fs) == nil && fs.Bavail == 0
	})
	status, stdout, stderr := b.call("pipex-exec", "--timeout", "60s", run)
	if status != 3 || !strings.HasSuffix(stdout, "x\nthe last line") {
		t.Errorf("status %d, the end of stdout: %q, stderr: %q", status, stdout[max(0, len(stdout)-20):], stderr)
	}
	b.must("pipex-discard", run)
	b.swept()
}

// A terminal whose output finds no room ends, and does not hang.
func TestFaultFullTerminal(t *testing.T) {
	t.Parallel()
	b := newWorkbench(t, small(t, "tmpfs"))
	run := b.must("pipex-prepare", "--image", "busybox", "--", "true")
	terminal := b.command("script", "-qec", "pipex-exec -t "+run+" -- sh -c 'trap \"\" HUP; seq 1000000; sleep 60'", "/dev/null")
	shown, err := terminal.StdoutPipe()
	if err == nil {
		err = terminal.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	// What has been shown is freed on the disk, so nobody reads it before the disk is full.
	b.until("the disk is full", func() bool {
		var fs unix.Statfs_t
		return unix.Statfs(b.dir, &fs) == nil && fs.Bavail*uint64(fs.Bsize) < 64<<10
	})
	out, err := io.ReadAll(shown)
	if err != nil {
		t.Error(err)
	}
	terminal.Wait()
	if status := terminal.ProcessState.ExitCode(); status != 137 || !bytes.Contains(out, []byte("the terminal is closed, since its output cannot be kept: ")) {
		t.Errorf("status %d: %s", status, out[max(0, len(out)-400):])
	}
	b.must("pipex-discard", run)
	b.swept()
}

// What is reserved for a full disk is given back.
func TestFaultReserved(t *testing.T) {
	t.Parallel()
	b := newWorkbench(t, small(t, "ext4"))
	run := b.must("pipex-prepare", "--image", "busybox", "--", "echo", "x")
	b.must("pipex-exec", run)
	b.must("pipex-exec", run)
	for _, log := range []string{"stdout.log", "stderr.log"} {
		if blocks := b.must("stat", "-c", "%b", b.path("staging", run, log)); len(blocks) > 1 {
			t.Errorf("%s has %s blocks of 512 bytes", log, blocks)
		}
	}
	b.must("pipex-discard", run)
	b.swept()
}

const farm = `
N := $(shell seq 1 %[2]d)
$(foreach n,$(N),$(eval step.s$(n) = --image busybox $(if $(filter-out 1,$(n)),--input s1) -- sh -c '$(if $(filter-out 1,$(n)),cat /input/s1/n >/dev/null && )echo $(n) >/output/n'))
step.all-of-them = --image busybox $(addprefix --input s,$(N)) -- sh -c 'cat /input/*/n | wc -l >/output/n'
target: all-of-them
include %[1]s/pipex.mk
`

// Two pipelines in one workspace, each with make -j, beside prune without end
// and readers that follow the links: nothing fails, nothing is missing.
func TestFaultConcurrentPipelines(t *testing.T) {
	n := times(12, 200)
	b := newWorkbench(t, t.TempDir())
	if err := os.WriteFile(filepath.Join(b.dir, "Makefile"), fmt.Appendf(nil, farm, site.scripts, n), 0o644); err != nil {
		t.Fatal(err)
	}
	published(b, "first")
	b.must("pipex-link", "reader", "first")

	var stop atomic.Bool
	var around sync.WaitGroup
	around.Add(2)
	go func() {
		defer around.Done()
		for !stop.Load() {
			if status, _, stderr := b.call("pipex-prune", "--quiet", "--older-than", "4s"); status != 0 || stderr != "" {
				t.Errorf("prune: status %d: %s", status, stderr)
				return
			}
		}
	}()
	go func() {
		defer around.Done()
		seen := map[string]bool{}
		for !stop.Load() {
			links, err := filepath.Glob(b.path("step-runs", "*"))
			if err != nil {
				t.Error(err)
			}
			for _, link := range links {
				seen[link] = true
			}
			for link := range seen { // once there, there for ever
				if _, err := os.ReadDir(link + "/artifacts/."); err != nil {
					t.Errorf("a reader: %v", err)
					return
				}
			}
		}
		t.Logf("readers followed %d links", len(seen))
	}()

	makes := make([]*exec.Cmd, 2)
	outputs := make([]bytes.Buffer, 2)
	for i := range makes {
		// The second pipeline makes the same steps again, under its own stamps.
		makes[i] = b.command("make", "-j16", "FORCE=all", fmt.Sprintf("pipex.stamps=%s/stamps%d", b.dir, i))
		makes[i].Stdout, makes[i].Stderr = &outputs[i], &outputs[i]
		if err := makes[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	for i, m := range makes {
		if err := m.Wait(); err != nil {
			t.Errorf("make: %v\n%s", err, outputs[i].Bytes())
		}
	}
	stop.Store(true)
	around.Wait()
	if got, err := os.ReadFile(b.path("step-runs", "all-of-them", "artifacts", "n")); strings.TrimSpace(string(got)) != fmt.Sprint(n) {
		t.Errorf("the last step counted %q of %d steps: %v", got, n, err)
	}
	b.agreed()
	b.must("pipex-prune", "--older-than", "0s")
	b.verified()
	b.clean()
}

// Sixteen processes give one step its name at once.
func TestFaultOneStepManyLinks(t *testing.T) {
	t.Parallel()
	b := newWorkbench(t, t.TempDir())
	for i := range 16 {
		published(b, fmt.Sprint("run", i))
	}
	var all sync.WaitGroup
	for i := range 16 {
		all.Add(1)
		go func() {
			defer all.Done()
			for range times(3, 40) {
				if status, _, stderr := b.call("pipex-link", "step", fmt.Sprint("run", i)); status != 0 {
					t.Errorf("status %d: %s", status, stderr)
				}
			}
		}()
	}
	all.Wait()
	b.agreed()
	b.must("pipex-prune", "--older-than", "0s")
	b.swept()
}
