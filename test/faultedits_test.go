package test

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Files that a step reads are edited at any moment, before, while and after it runs, in ways
// that hide it or undo it. Whatever is then served without running the step again, by verbs
// or by make, is what its command gives from the files as they are; and once nobody edits
// any more, a step runs once at most. There are so few contents that each comes back often,
// and finds what was filed under it.
func TestFaultEdits(t *testing.T) {
	t.Parallel()
	t.Run("nanoseconds", func(t *testing.T) {
		t.Parallel()
		testEdits(t, t.TempDir(), times(12, 500))
	})
	// Here a file that is changed twice within a second has the same times after that.
	t.Run("seconds", func(t *testing.T) {
		t.Parallel()
		testEdits(t, mounted(t, 64<<20, "-I", "128"), times(4, 100))
	})
}

// A file that is edited and changed back within the second in which it was last changed has
// the times that it had. So the step starts only when that second is over.
func TestFaultUndoneWithinASecond(t *testing.T) {
	t.Parallel()
	b := newWorkbench(t, mounted(t, 64<<20, "-I", "128"))
	file := filepath.Join(b.dir, "f")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"--image", "busybox", "--mount", "f:/f", "--", "sh", "-c", "touch /output/begun; until test -e /output/go; do sleep 0.01; done; cat /f >/output/f; until test -e /output/end; do sleep 0.01; done"}
	for range 3 {
		time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second + 20*time.Millisecond))) // the kernel's clock is behind
		began := time.Now()
		write("one")
		id := b.must(append([]string{"pipex-prepare"}, args...)...)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			b.call("pipex-exec", id)
		}()
		if !within(limit, func() bool {
			_, err := os.Stat(b.path("staging", id, "artifacts", "begun"))
			return err == nil
		}) {
			t.Fatal("the step does not begin")
		}
		write("two")
		b.must("touch", b.path("staging", id, "artifacts", "go"))
		within(limit, func() bool {
			got, _ := os.ReadFile(b.path("staging", id, "artifacts", "f"))
			return len(got) > 0
		})
		write("one")
		t.Logf("undone after %s", time.Since(began))
		b.must("touch", b.path("staging", id, "artifacts", "end"))
		<-ended
		b.must("pipex-commit", id)
		if status, served, _ := b.call(append([]string{"pipex-prepare", "--cached"}, args...)...); status != 0 {
			t.Errorf("run %s is served, which has read another content", served)
		}
	}
}

func testEdits(t *testing.T, dir string, edits int) {
	e := &editing{workbench: newWorkbench(t, dir), random: dice(t), expected: map[string]string{}, counts: map[string]int{}}
	e.begin()
	for i := range edits {
		e.once(i)
		if t.Failed() {
			t.Fatalf("after %d edits", i+1)
		}
	}
	e.audit()
	t.Logf("%d edits: %v", edits, e.counts)
}

// editing is a directory that is edited while steps read it.
type editing struct {
	*workbench
	random *rand.Rand
	// expected are the outputs that steps with these fingerprints must have.
	expected map[string]string
	counts   map[string]int
}

// The command prints all that it can see of the files, and takes its time.
const readAll = `echo ran; cd /src; for f in *; do test -e "$f" || continue; echo "$f $(test -x "$f" && echo x)"; cat "$f"; sleep 0.02; done >/output/all`

// readers are the options of steps that read the directory src in different ways.
var readers = map[string][]string{
	"mount":  {"--mount", "src:/src"},
	"source": {"--source", "src:/src"},
	"file":   {"--mount", "src/a:/src/a"},
	"setup":  {"--mount", "src:/src", "--setup", "sleep 0.05", "--setup-network", "none"},
	"twice":  {"--mount", "src/a:/src/a", "--source", "src/b:/src/b"},
}

var texts = []string{"one\n", "two\n", "six\n"}

func (e *editing) begin() {
	var steps strings.Builder
	command := strings.NewReplacer("$", "$$").Replace(readAll)
	for name, options := range readers {
		var words []string
		for _, option := range options {
			words = append(words, quoted(option))
		}
		fmt.Fprintf(&steps, "step.%s = --image busybox %s -- sh -c '%s'\n", name, strings.Join(words, " "), command)
	}
	steps.WriteString("include $(SCRIPTS)/pipex.mk\n")
	scripts, err := filepath.Abs("../scripts")
	e.ok(err)
	e.env = append(e.env, "SCRIPTS="+scripts)
	e.ok(os.WriteFile(filepath.Join(e.dir, "Makefile"), []byte(steps.String()), 0o644))
	e.ok(os.Mkdir(e.src(), 0o755))
	for _, f := range []string{"a", "b"} {
		e.ok(os.WriteFile(e.src(f), []byte(texts[0]), 0o644))
	}
}

func quoted(word string) string { return "'" + word + "'" }

func (e *editing) ok(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

func (e *editing) src(names ...string) string {
	return filepath.Join(append([]string{e.dir, "src"}, names...)...)
}

// once edits the files while a step runs, and then looks at what is served.
func (e *editing) once(i int) {
	names := make([]string, 0, len(readers))
	for name := range readers {
		names = append(names, name)
	}
	slices.Sort(names)
	step := names[e.random.Intn(len(names))]
	byMake := e.random.Intn(2) == 0
	kind, edit := e.edit()
	moment := []string{"before", "while", "while", "while", "after"}[e.random.Intn(5)]
	after := time.Duration(e.random.Intn(350)) * time.Millisecond
	e.Logf("%d: %s, make %t: %s, %s (%s)", i, step, byMake, kind, moment, after)
	e.counts[kind]++
	e.counts[moment]++
	if moment == "before" {
		edit()
	}
	edited := len(e.executed())
	ended := e.run(step, byMake)
	if moment == "while" {
		time.Sleep(after)
		edit()
	}
	<-ended
	if moment == "after" {
		edit()
	}
	if len(e.executed()) > edited {
		e.counts["executed"]++
	}
	e.settle(step, byMake)
}

// run runs a step, while files may be edited: it may fail. It closes a channel at its end.
func (e *editing) run(step string, byMake bool) <-chan struct{} {
	ended := make(chan struct{})
	kill := time.Duration(0)
	if e.random.Intn(5) == 0 {
		kill = time.Duration(50+e.random.Intn(250)) * time.Millisecond
	}
	go func() {
		defer close(ended)
		if byMake {
			e.call("make", "-s", step)
			return
		}
		status, id, _ := e.call(e.prepare(step)...)
		if status != 0 {
			return
		}
		if kill > 0 {
			e.kill(kill, "pipex-exec", id)
		}
		if status, _, _ := e.call("pipex-exec", id); status != 0 {
			e.call("pipex-discard", id)
			return
		}
		e.call("pipex-commit", id)
		e.call("pipex-link", step, id)
	}()
	return ended
}

func (e *editing) prepare(step string, more ...string) []string {
	args := append([]string{"pipex-prepare", "--cached", "--step", step, "--image", "busybox"}, more...)
	return append(append(args, readers[step]...), "--", "sh", "-c", readAll)
}

// settle fails the test unless what the step has now, without another edit, is what its
// command gives, at the latest after it has run once.
func (e *editing) settle(step string, byMake bool) {
	e.Helper()
	want := e.want(step)
	e.expected[e.must(e.prepare(step, "--fingerprint")...)] = want
	if byMake {
		before := e.must("make", "-s", step)
		if got := e.output(e.must("pipex-link", step)); got != want {
			e.Errorf("make (ran: %t) serves\n%s\nthe files give\n%s", before != "", got, want)
		}
		if again := e.must("make", "-s", step); again != "" {
			e.Errorf("make runs the step once more: %s", again)
		}
		return
	}
	status, id, stderr := e.call(e.prepare(step)...)
	switch status {
	case 3:
		e.counts["served"]++
	case 0:
		e.must("pipex-exec", id)
		e.must("pipex-commit", id)
		e.must("pipex-link", step, id)
	default:
		e.Fatalf("prepare: status %d: %s", status, stderr)
	}
	if got := e.output(id); got != want {
		e.Errorf("run %s (served: %t) has\n%s\nthe files give\n%s", id, status == 3, got, want)
	}
	if status, again, _ := e.call(e.prepare(step)...); status != 3 {
		e.Errorf("the step would run once more, as %s", again)
	}
}

func (e *editing) output(id string) string {
	data, err := os.ReadFile(e.path("runs", id, "artifacts", "all"))
	e.ok(err)
	return string(data)
}

// want is what a step's command gives from the files as they are.
func (e *editing) want(step string) string {
	seen := map[string][]string{"file": {"a"}, "twice": {"a", "b"}}[step]
	if seen == nil {
		entries, err := os.ReadDir(e.src())
		e.ok(err)
		for _, entry := range entries {
			seen = append(seen, entry.Name())
		}
	}
	var b strings.Builder
	for _, f := range seen {
		info, err := os.Stat(e.src(f))
		e.ok(err)
		data, err := os.ReadFile(e.src(f))
		e.ok(err)
		executable := ""
		if info.Mode()&0o100 != 0 {
			executable = "x"
		}
		fmt.Fprintf(&b, "%s %s\n%s", f, executable, data)
	}
	return b.String()
}

// edit returns an edit and what it is called. a and b exist after it.
func (e *editing) edit() (string, func()) {
	f := e.src([]string{"a", "b"}[e.random.Intn(2)])
	text, other := []byte(texts[e.random.Intn(3)]), []byte(texts[e.random.Intn(3)])
	pause := time.Duration(e.random.Intn(120)) * time.Millisecond
	added, beside := e.src("n"), filepath.Join(e.dir, "beside")
	times := func() time.Time {
		info, err := os.Stat(f)
		e.ok(err)
		return info.ModTime()
	}
	all := map[string]func(){
		"in place": func() { e.ok(os.WriteFile(f, text, 0o644)) },
		"old time": func() {
			old := times()
			e.ok(os.WriteFile(f, text, 0o644))
			e.ok(os.Chtimes(f, old, old))
		},
		"moved over": func() {
			old := times()
			e.ok(os.WriteFile(beside, text, 0o644))
			e.ok(os.Chtimes(beside, old, old))
			e.ok(os.Rename(beside, f))
		},
		"undone": func() {
			was, err := os.ReadFile(f)
			e.ok(err)
			old := times()
			e.ok(os.WriteFile(f, other, 0o644))
			time.Sleep(pause)
			e.ok(os.WriteFile(f, was, 0o644))
			e.ok(os.Chtimes(f, old, old))
		},
		"moved and back": func() {
			e.ok(os.Rename(f, beside))
			e.ok(os.WriteFile(f, other, 0o644))
			time.Sleep(pause)
			e.ok(os.Rename(beside, f))
		},
		"added or removed": func() {
			if os.Remove(added) != nil {
				e.ok(os.WriteFile(added, text, 0o644))
			}
		},
		"for a moment": func() {
			e.ok(os.WriteFile(e.src("m"), text, 0o644))
			time.Sleep(pause)
			e.ok(os.Remove(e.src("m")))
		},
		"mode": func() {
			info, err := os.Stat(f)
			e.ok(err)
			e.ok(os.Chmod(f, info.Mode()^0o100))
		},
		"link": func() {
			e.ok(os.Symlink(filepath.Base(f), beside))
			e.ok(os.Rename(beside, e.src("l")))
		},
		"directory": func() {
			e.must("cp", "-a", e.src(), beside)
			e.ok(os.WriteFile(filepath.Join(beside, filepath.Base(f)), text, 0o644))
			e.ok(os.Rename(e.src(), beside+".old"))
			e.ok(os.Rename(beside, e.src()))
			e.ok(os.RemoveAll(beside + ".old"))
		},
		"touch": func() { e.ok(os.Chtimes(f, time.Now(), time.Now())) },
	}
	kinds := make([]string, 0, len(all))
	for kind := range all {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	kind := kinds[e.random.Intn(len(kinds))]
	return kind, all[kind]
}

func (e *editing) executed() []os.DirEntry {
	runs, _ := os.ReadDir(e.path("runs"))
	return runs
}

// audit fails the test if any run that lookups may offer is filed under what it has not read.
func (e *editing) audit() {
	for _, run := range e.executed() {
		data, err := os.ReadFile(e.path("runs", run.Name(), "meta.json"))
		e.ok(err)
		var m struct {
			Fingerprint   string
			ChangedInputs []any
		}
		e.ok(json.Unmarshal(data, &m))
		if len(m.ChangedInputs) > 0 {
			e.counts["marked as changed"]++
			continue
		}
		if want, ok := e.expected[m.Fingerprint]; ok && e.output(run.Name()) != want {
			e.Errorf("run %s is filed under what it has not read: it has\n%s\nnot\n%s", run.Name(), e.output(run.Name()), want)
		}
		e.counts["runs"]++
	}
	e.must("pipex-commit", "--verify", "--all")
}
