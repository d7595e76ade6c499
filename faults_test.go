package pipex_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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

// bench is a workspace of a test's own, in a namespace of its own.
type bench struct {
	*testing.T
	dir, namespace string
	sockets        []string // of shims, when it began
}

func newBench(t *testing.T, dir string) *bench {
	t.Helper()
	b := &bench{T: t, dir: dir, namespace: "faults-" + strings.ToLower(filepath.Base(t.Name())), sockets: shimSockets()}
	t.Cleanup(func() {
		for i := 0; i < 50 && b.open() > 0; i++ {
			b.call("pipex-prune", "--older-than", "0s", "--staging")
			time.Sleep(100 * time.Millisecond)
		}
	})
	return b
}

func shimSockets() []string {
	sockets, _ := filepath.Glob("/run/containerd/s/*")
	return sockets
}

func (b *bench) open() int {
	open, _ := os.ReadDir(b.path("staging"))
	return len(open)
}

func (b *bench) path(names ...string) string {
	return filepath.Join(append([]string{b.dir, "workdir", "default"}, names...)...)
}

func (b *bench) command(args ...string) *exec.Cmd {
	name := args[0]
	if strings.HasPrefix(name, "pipex-") {
		name = filepath.Join(site.bin, name)
	}
	// What takes longer hangs; the context only ends it.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	b.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args[1:]...)
	cmd.WaitDelay = time.Second
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), "PATH="+site.bin+":"+site.scripts+":"+os.Getenv("PATH"),
		"CONTAINERD_ADDRESS="+site.address, "PIPEX_NAMESPACE="+b.namespace)
	return cmd
}

// call runs a command and returns its status and what it printed.
func (b *bench) call(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	cmd := b.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		b.Fatalf("%s: %v", args[0], err)
	}
	return cmd.ProcessState.ExitCode(), strings.TrimSpace(out.String()), strings.TrimSpace(errs.String())
}

// must runs a command that succeeds and returns what it printed.
func (b *bench) must(args ...string) string {
	b.Helper()
	status, stdout, stderr := b.call(args...)
	if status != 0 {
		b.Fatalf("%s: status %d\n%s\n%s", strings.Join(args, " "), status, stdout, stderr)
	}
	return stdout
}

// kill starts a command and kills it after a while, if it still runs then.
func (b *bench) kill(after time.Duration, args ...string) {
	cmd := b.command(args...)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	time.Sleep(after)
	cmd.Process.Kill()
	cmd.Wait()
}

// reclaim has prune reclaim what is abandoned until no run is open: a container
// whose exec was killed goes on to its end.
func (b *bench) reclaim() {
	b.Helper()
	for i := 0; ; i++ {
		b.must("pipex-prune", "--older-than", "0s", "--staging")
		if b.open() == 0 {
			return
		}
		if i == 100 {
			b.Fatal("runs stay open")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// swept fails the test if the workspace holds anything of an open run, or a
// temporary file.
func (b *bench) swept() {
	b.Helper()
	for _, dir := range []string{"staging", ".pipex/tmp", ".pipex/new", ".pipex/holders"} {
		left, _ := os.ReadDir(b.path(dir))
		for _, e := range left {
			b.Errorf("left in the workspace: %s/%s", dir, e.Name())
		}
	}
}

// clean fails the test if anything of its runs is left anywhere but in runs/.
func (b *bench) clean() {
	b.Helper()
	b.swept()
	for what, args := range map[string][]string{
		"container": {"containers", "ls", "-q"},
		"task":      {"tasks", "ls", "-q"},
		"lease":     {"leases", "ls", "-q"},
	} {
		out := b.must(append([]string{"ctr", "-a", site.address, "-n", b.namespace}, args...)...)
		if out != "" {
			b.Errorf("left in containerd: %s %s", what, out)
		}
	}
	snapshots := b.must("ctr", "-a", site.address, "-n", b.namespace, "snapshots", "ls")
	for _, line := range strings.Split(snapshots, "\n") {
		if strings.HasSuffix(strings.TrimSpace(line), "Active") {
			b.Errorf("left in containerd: snapshot %s", line)
		}
	}
	processes, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, process := range processes {
		words, _ := os.ReadFile(process)
		if bytes.Contains(words, []byte("-namespace\x00"+b.namespace+"\x00")) {
			b.Errorf("left: %s: %s", process, bytes.ReplaceAll(words, []byte{0}, []byte{' '}))
		}
	}
	for _, line := range b.lines("sh", "-c", `grep -F "/$1/" /proc/self/mountinfo || :`, "sh", b.namespace) {
		b.Errorf("left: mount %s", line)
	}
	for _, line := range b.lines("find", "/sys/fs/cgroup", "-mindepth", "2", "-type", "d", "-path", "*/"+b.namespace+"/*") {
		b.Errorf("left: cgroup %s", line)
	}
	for _, line := range b.lines("find", filepath.Dir(site.address), "-path", "*.task/"+b.namespace+"/*", "-prune") {
		b.Errorf("left: bundle %s", line)
	}
	left, _ := filepath.Glob(filepath.Join("/run/containerd/runc", b.namespace, "*"))
	for _, socket := range shimSockets() {
		if !slices.Contains(b.sockets, socket) {
			left = append(left, socket)
		}
	}
	for _, path := range left {
		b.Errorf("left: %s", path)
	}
}

func (b *bench) lines(args ...string) []string {
	_, out, _ := b.call(args...)
	if out == "" {
		return nil
	}
	return strings.Split(out, "\n")
}

// verified fails the test unless every committed run is as it was committed.
func (b *bench) verified() {
	b.Helper()
	runs, err := os.ReadDir(b.path("runs"))
	if err != nil {
		b.Fatal(err)
	}
	args := []string{"pipex-commit", "--verify"}
	for _, run := range runs {
		args = append(args, run.Name())
	}
	if len(runs) > 0 {
		b.must(args...)
	}
}

// agreed fails the test unless the links and state.json say the same.
func (b *bench) agreed() {
	b.Helper()
	links := b.must("pipex-link")
	if _, err := os.Stat(b.path("state.json")); links == "" && os.IsNotExist(err) {
		return // nothing has been linked yet
	}
	state := b.must("jq", "-r", `.steps | to_entries | sort_by(.key)[] | "\(.key)\t\(.value.runId)"`, b.path("state.json"))
	if links != state {
		b.Errorf("links and state.json differ:\n%s\n\n%s", links, state)
	}
}

// A verb that is killed at any moment leaves a workspace in which every verb
// works, and nothing that prune --staging does not find.
func TestFaultKilled(t *testing.T) {
	random := dice(t)
	b := newBench(t, t.TempDir())
	const step = "step"
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
		if t.Failed() {
			t.FailNow()
		}
	}
}
