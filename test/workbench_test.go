package test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// workbench is a workspace of a test's own, in a namespace of its own, and a way to
// call verbs on it.
type workbench struct {
	*testing.T
	dir       string
	address   string // of the containerd that the verbs talk to
	namespace string
	env       []string // more variables for the verbs
	// containers are those of all runs that were seen, by the run's id.
	containers *sync.Map
}

func newWorkbench(t *testing.T, dir string) *workbench {
	t.Helper()
	b := &workbench{
		T: t, dir: dir, address: containerd(t), containers: new(sync.Map),
		namespace: strings.ReplaceAll(strings.ToLower(t.Name()), "/", "-"),
	}
	t.Cleanup(func() {
		within(limit, func() bool {
			b.call("pipex-prune", "--older-than", "0s", "--staging")
			return b.open() == 0
		})
	})
	return b
}

// note notes the containers of the runs that there are.
func (b *workbench) note() {
	for _, dir := range []string{"staging", "runs"} {
		records, _ := filepath.Glob(b.path(dir, "*", "meta.json"))
		for _, path := range records {
			run := filepath.Base(filepath.Dir(path))
			if _, seen := b.containers.Load(run); seen {
				continue
			}
			var record struct{ Container struct{ ID string } }
			data, _ := os.ReadFile(path)
			json.Unmarshal(data, &record) // it may be gone, or the test has damaged it
			if record.Container.ID != "" {
				b.containers.Store(run, record.Container.ID)
			}
		}
	}
}

// sockets are those of the shims of the containers: each is named by a hash of who it is.
func (b *workbench) sockets() (found []string) {
	b.containers.Range(func(_, container any) bool {
		sum := sha256.Sum256([]byte(filepath.Join(containerd(b), b.namespace, container.(string))))
		path := filepath.Join("/run/containerd/s", hex.EncodeToString(sum[:]))
		if _, err := os.Lstat(path); err == nil {
			found = append(found, path)
		}
		return true
	})
	return found
}

func (b *workbench) open() int {
	open, _ := os.ReadDir(b.path("staging"))
	return len(open)
}

func (b *workbench) path(names ...string) string {
	return filepath.Join(append([]string{b.dir, "workdir", "default"}, names...)...)
}

// command is a verb, a script or a program, to be run in the workbench's directory.
func (b *workbench) command(args ...string) *exec.Cmd {
	name := args[0]
	if strings.HasPrefix(name, "pipex-") {
		name = filepath.Join(verbs(b), name)
	}
	// What takes longer hangs; the context only ends it.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	b.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args[1:]...)
	cmd.WaitDelay = time.Second
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), "PATH="+path(verbs(b)), "CONTAINERD_ADDRESS="+b.address, "PIPEX_NAMESPACE="+b.namespace)
	cmd.Env = append(cmd.Env, b.env...)
	return cmd
}

// call runs a command and returns its status and what it printed.
func (b *workbench) call(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	cmd := b.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	b.note()
	defer b.note()
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		b.Fatalf("%s: %v", args[0], err)
	}
	return cmd.ProcessState.ExitCode(), strings.TrimSpace(out.String()), strings.TrimSpace(errs.String())
}

// must runs a command that succeeds and returns what it printed.
func (b *workbench) must(args ...string) string {
	b.Helper()
	status, stdout, stderr := b.call(args...)
	if status != 0 {
		b.Fatalf("%s: status %d\n%s\n%s", strings.Join(args, " "), status, stdout, stderr)
	}
	return stdout
}

// kill starts a command and kills it after a while, if it still runs then.
func (b *workbench) kill(after time.Duration, args ...string) {
	cmd := b.command(args...)
	b.note()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	time.Sleep(after)
	cmd.Process.Kill()
	cmd.Wait()
}

// reclaim has prune reclaim what is abandoned until no run is open: a container
// whose exec was killed goes on to its end.
func (b *workbench) reclaim() {
	b.Helper()
	if !within(limit, func() bool {
		b.must("pipex-prune", "--older-than", "0s", "--staging")
		return b.open() == 0
	}) {
		b.Fatal("runs stay open")
	}
}

// swept fails the test if the workspace holds anything of an open run, or a
// temporary file.
func (b *workbench) swept() {
	b.Helper()
	for _, dir := range []string{"staging", ".pipex/tmp", ".pipex/new", ".pipex/holders"} {
		left, _ := os.ReadDir(b.path(dir))
		for _, e := range left {
			b.Errorf("left in the workspace: %s/%s", dir, e.Name())
		}
	}
}

// clean fails the test if anything of its runs is left anywhere but in runs/.
func (b *workbench) clean() {
	b.Helper()
	b.swept()
	notes, _ := os.ReadDir(b.path(".pipex/reap"))
	for _, note := range notes {
		b.Errorf("left for a reaper: %s", note.Name())
	}
	for what, args := range map[string][]string{
		"container": {"containers", "ls", "-q"},
		"task":      {"tasks", "ls", "-q"},
		"lease":     {"leases", "ls", "-q"},
	} {
		out := b.must(append([]string{"ctr", "-a", containerd(b), "-n", b.namespace}, args...)...)
		if out != "" {
			b.Errorf("left in containerd: %s %s", what, out)
		}
	}
	snapshots := b.must("ctr", "-a", containerd(b), "-n", b.namespace, "snapshots", "ls")
	for _, line := range strings.Split(snapshots, "\n") {
		if strings.HasSuffix(strings.TrimSpace(line), "Active") {
			b.Errorf("left in containerd: snapshot %s", line)
		}
	}
	// A shim answers that it will end, and then ends.
	var processes []string
	within(limit, func() bool {
		processes = b.processes()
		return len(processes) == 0
	})
	for _, process := range processes {
		b.Errorf("left: %s", process)
	}
	for _, line := range b.lines("sh", "-c", `grep -F "/$1/" /proc/self/mountinfo || :`, "sh", b.namespace) {
		b.Errorf("left: mount %s", line)
	}
	for _, line := range b.lines("find", "/sys/fs/cgroup", "-mindepth", "2", "-type", "d", "-path", "*/"+b.namespace+"/*") {
		b.Errorf("left: cgroup %s", line)
	}
	for _, line := range b.lines("find", filepath.Dir(containerd(b)), "-path", "*.task/"+b.namespace+"/*", "-prune") {
		b.Errorf("left: bundle %s", line)
	}
	left, _ := filepath.Glob(filepath.Join("/run/containerd/runc", b.namespace, "*"))
	left = append(left, b.sockets()...) // no shim is there that would remove it
	for _, path := range left {
		b.Errorf("left: %s", path)
	}
}

// processes lists the shims of the workbench's containers.
func (b *workbench) processes() (found []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		words, _ := os.ReadFile(file)
		if bytes.Contains(words, []byte("-namespace\x00"+b.namespace+"\x00")) {
			found = append(found, file+": "+string(bytes.ReplaceAll(words, []byte{0}, []byte{' '})))
		}
	}
	return found
}

func (b *workbench) lines(args ...string) []string {
	_, out, _ := b.call(args...)
	if out == "" {
		return nil
	}
	return strings.Split(out, "\n")
}

// verified fails the test unless every committed run is as it was committed.
func (b *workbench) verified() {
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
func (b *workbench) agreed() {
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

// index makes an index of the runs, of which there are too few otherwise.
func (b *workbench) index() { b.must("mkdir", "-p", b.path(".pipex", "by", "id")) }

// indexed fails the test unless the index has all committed runs, once somebody has looked for
// one, and no others.
func (b *workbench) indexed() {
	b.Helper()
	b.call("pipex-link", "--where", "none")
	index := b.must("find", b.path(".pipex", "by", "id"), "-type", "f", "-printf", "%f\n")
	runs := b.must("find", b.path("runs"), "-mindepth", "1", "-printf", "%f\n", "-prune")
	if got, want := sorted(index), sorted(runs); got != want {
		b.Errorf("the index has %s, but the runs are %s", got, want)
	}
}

func sorted(lines string) string {
	words := strings.Fields(lines)
	slices.Sort(words)
	return strings.Join(words, " ")
}
