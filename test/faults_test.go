package test

import (
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The fault tests break things for real. `make test` runs a short form of each,
// `make test-faults` the full one: $PIPEX_FAULTS=full.

// times is how often a fault is tried.
func times(short, full int) int {
	if os.Getenv("PIPEX_FAULTS") == "full" {
		return full
	}
	return short
}

// dice are thrown anew each time; $PIPEX_FAULTS_SEED throws the same again.
func dice(t *testing.T) *rand.Rand {
	seed, err := strconv.ParseInt(os.Getenv("PIPEX_FAULTS_SEED"), 10, 64)
	if err != nil {
		seed = time.Now().UnixNano()
	}
	t.Logf("PIPEX_FAULTS_SEED=%d", seed)
	return rand.New(rand.NewSource(seed))
}

// A verb that is killed at any moment leaves a workspace in which every verb
// works, and nothing that prune --staging does not find.
func TestFaultKilled(t *testing.T) {
	t.Parallel()
	random := dice(t)
	b := newWorkbench(t, t.TempDir())
	const step = "step"
	b.index()
	b.must("pipex-prepare", "--run-id", "first")
	b.must("pipex-commit", "first")
	b.must("pipex-link", step, "first")
	durations := map[string]int{"prepare": 30, "exec": 150, "commit": 25, "link": 8, "discard": 30, "prune": 50}
	for i := range times(20, 320) {
		run := fmt.Sprintf("run%d", i)
		prepare := []string{"pipex-prepare", "--run-id", run, "--step", step, "--image", "busybox",
			"--", "sh", "-c", "echo out; echo err >&2; mkdir /output/d; for f in 1 2 3; do echo $f >/output/d/$f; done"}
		verbs := map[string][]string{
			"prepare": prepare, "exec": {"pipex-exec", "--interactive", run}, "commit": {"pipex-commit", run}, "link": {"pipex-link", step, run},
			"discard": {"pipex-discard", run}, "prune": {"pipex-prune", "--older-than", "0s", "--staging"},
		}
		order := [][]string{
			{"prepare", "exec", "commit", "link", "prune"},
			{"prepare", "exec", "discard"},
			{"prepare", "prune"},
		}[random.Intn(3)]
		victim := random.Intn(len(order))
		abandon := random.Intn(2) == 0
		for j, verb := range order {
			if j != victim {
				b.must(verbs[verb]...)
				continue
			}
			after := time.Duration(random.Intn(durations[verb]*1000)) * time.Microsecond
			t.Logf("%s: kill %s after %s, abandon %t", run, verb, after, abandon)
			b.kill(after, verbs[verb]...)
			if abandon {
				break
			}
			again, _, stderr := b.call(verbs[verb]...)
			if again != 0 && !(verb == "prepare" && again == 128 && strings.Contains(stderr, "already exists")) {
				t.Fatalf("%s again: status %d: %s", verb, again, stderr)
			}
		}
		if linked := b.must("pipex-link", step); linked != run {
			if _, err := os.Stat(b.path("runs", linked)); err != nil {
				t.Errorf("step names run %s: %v", linked, err)
			}
		}
		b.reclaim()
		b.clean()
		b.verified()
		b.agreed()
		b.indexed()
		if t.Failed() {
			t.FailNow()
		}
	}
}

// pipex-rm that is killed at any moment leaves a workspace in which every verb works, or
// none, and nothing that another pipex-rm and a prune of the workspace beside it do not find.
func TestFaultKilledRemoval(t *testing.T) {
	t.Parallel()
	random := dice(t)
	b := newWorkbench(t, t.TempDir())
	b.must("pipex-prepare", "--run-id", "kept")
	b.must("pipex-commit", "kept")
	there := func() bool { _, err := os.Stat(b.path("..", "gone")); return err == nil }
	for i := range times(6, 100) {
		run := fmt.Sprintf("run%d", i)
		prepare := []string{"pipex-prepare", "-w", "gone", "--image", "busybox", "--run-id"}
		b.must(append(prepare, run, "--", "sh", "-c", "for f in $(seq 200); do echo $f >/output/$f; done")...)
		b.must("pipex-exec", "-w", "gone", run)
		b.must(append(prepare, run+"c", "--", "true")...)
		b.must("pipex-exec", "-w", "gone", run+"c")
		b.must("pipex-commit", "-w", "gone", run+"c")
		after := time.Duration(random.Intn(80_000)) * time.Microsecond
		t.Logf("%s: kill after %s", run, after)
		b.kill(after, "pipex-rm", "gone")
		if there() {
			b.must("pipex-commit", "-w", "gone", "--verify", run+"c")
			b.must("pipex-link", "-w", "gone", "step", run+"c")
			if i%2 == 0 {
				b.must("pipex-rm", "gone")
			}
		}
		if i%2 == 1 {
			b.must("pipex-prune", "-w", "default")
			if there() {
				continue // it is removed next time
			}
		} else if status, _, stderr := b.call("pipex-rm", "gone"); status != 1 {
			t.Fatalf("pipex-rm of what is gone: status %d: %s", status, stderr)
		}
		if left, _ := filepath.Glob(b.path("..", ".*")); len(left) > 0 {
			t.Errorf("left: %s", left)
		}
		b.must("pipex-prune", "-w", "default")
		b.clean()
		b.verified()
		if t.Failed() {
			t.FailNow()
		}
	}
}

// A pipex-shell that is killed at any moment has not changed the run that it looks at, and
// leaves nothing that prune does not find.
func TestFaultShellKilled(t *testing.T) {
	t.Parallel()
	random := dice(t)
	b := newWorkbench(t, t.TempDir())
	for i := range times(8, 200) {
		run := fmt.Sprintf("run%d", i)
		b.must("pipex-prepare", "--run-id", run, "--image", "busybox", "--", "sh", "-c", "echo layer >/tmp/f; echo artifact >/output/f; exit 3")
		if status, _, _ := b.call("pipex-exec", run); status != 3 {
			t.Fatalf("status %d", status)
		}
		before := b.must("cat", b.path("staging", run, "meta.json"))
		after := time.Duration(random.Intn(200*1000)) * time.Microsecond
		t.Logf("%s: kill after %s", run, after)
		b.kill(after, "pipex-shell", run, "--", "sh", "-c", "echo x >/tmp/f; echo x >/output/f; sleep 0.1; cat /tmp/f")
		if now := b.must("cat", b.path("staging", run, "meta.json")); now != before {
			t.Errorf("the record is now %s", now)
		}
		if is := b.must("pipex-exec", run, "--", "cat", "/tmp/f", "/output/f"); is != "layer\nartifact" {
			t.Errorf("the run has now %q", is)
		}
		b.reclaim()
		b.clean()
		if t.Failed() {
			t.FailNow()
		}
	}
}
