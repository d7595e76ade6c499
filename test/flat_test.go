package test

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"pipex/bench/crowd"
	"pipex/lib/workspace"
)

// effort is what a command asks of the file system.
type effort struct{ calls, bytes int }

// traced are lines of strace(1): a call's name and its result.
var traced = regexp.MustCompile(`^\d+ +(?:<\.\.\. )?(\w+)[( ].*= (\d+)`)

// effortOf runs a command and returns its effort, that of its children included.
func (b *workbench) effortOf(args ...string) (e effort) {
	b.Helper()
	out := filepath.Join(b.dir, "strace")
	b.must(append([]string{"strace", "-f", "-qq", "-e", "trace=%file,read,pread64,getdents64", "-o", out, "--"}, args...)...)
	f, err := os.Open(out)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for in := bufio.NewScanner(f); in.Scan(); {
		if strings.Contains(in.Text(), "<unfinished") {
			continue // the line of its end counts
		}
		e.calls++
		if found := traced.FindStringSubmatch(in.Text()); found != nil && (strings.HasSuffix(found[1], "read64") || found[1] == "read" || found[1] == "getdents64") {
			n, _ := strconv.Atoi(found[2])
			e.bytes += n
		}
	}
	return e
}

// Every verb, and every way to name a run, asks as much of the file system in a workspace of
// many runs and steps as in a small one. Lists of runs and steps grow, of course.
func TestFlat(t *testing.T) {
	t.Parallel()
	small, large := crowded(t, 20, 5), crowded(t, 2000, 500)
	for _, c := range []struct {
		what string
		args func(b *workbench) []string
		// state says that the command copies state.json.
		state bool
	}{
		{what: "prepare", args: func(*workbench) []string { return []string{"pipex-prepare"} }},
		{what: "prepare, not cached", args: func(b *workbench) []string {
			return []string{"pipex-prepare", "--cached", "--env", "N=" + crowd.Step(b.open())}
		}},
		{what: "prepare, cached", args: func(b *workbench) []string {
			b.must("pipex-commit", b.must("pipex-prepare", "--env", "A=hit"))
			return []string{"sh", "-c", "pipex-prepare --cached --env A=hit || [ $? = 3 ]"}
		}},
		{what: "exec", args: func(b *workbench) []string {
			return []string{"pipex-exec", b.must("pipex-prepare", "--image", "busybox", "--", "true")}
		}},
		{what: "commit", args: func(b *workbench) []string { return []string{"pipex-commit", b.must("pipex-prepare")} }},
		{what: "discard", args: func(b *workbench) []string { return []string{"pipex-discard", b.must("pipex-prepare")} }},
		{what: "link STEP RUN", state: true, args: func(b *workbench) []string {
			return []string{"pipex-link", crowd.Step(0), b.must("pipex-commit", b.must("pipex-prepare", "--step", crowd.Step(0)))}
		}},
		{what: "link a new STEP", state: true, args: func(b *workbench) []string { return []string{"pipex-link", "new", b.newest()} }},
		{what: "link --delete STEP", state: true, args: func(b *workbench) []string { return []string{"pipex-link", "--delete", "new"} }},
		{what: "link STEP", args: func(*workbench) []string { return []string{"pipex-link", crowd.Step(0)} }},
		{what: "show RUN", args: func(b *workbench) []string { return []string{"pipex-show", b.newest()} }},
		{what: "show a prefix", args: func(b *workbench) []string { return []string{"pipex-show", b.newest()[:18]} }},
		{what: "show STEP", args: func(*workbench) []string { return []string{"pipex-show", crowd.Step(0)} }},
		{what: "show STEP^", args: func(*workbench) []string { return []string{"pipex-show", crowd.Step(0) + "^"} }},
		{what: "show STEP@linked", args: func(*workbench) []string { return []string{"pipex-show", crowd.Step(0) + "@linked"} }},
		{what: "show STEP@open", args: func(b *workbench) []string {
			b.must("pipex-prepare", "--step", crowd.Step(0))
			return []string{"pipex-show", crowd.Step(0) + "@open"}
		}},
		{what: "a null build", args: func(b *workbench) []string {
			b.must("make")
			return []string{"make"}
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			few, many := small.effortOf(c.args(small)...), large.effortOf(c.args(large)...)
			// How often exec looks at the container depends on time. Of 2000 runs each would count.
			most := effort{2 * few.calls, 2 * few.bytes}
			if info, err := os.Stat(large.path("state.json")); err == nil && c.state {
				most.bytes += int(info.Size())*11/10 + 2<<10
			}
			if many.calls > most.calls || many.bytes > most.bytes {
				t.Errorf("in a small workspace %+v, in a large one %+v", few, many)
			}
		})
	}
}

// crowded is a workbench of many runs and steps, with a Makefile of a step.
func crowded(t *testing.T, runs, steps int) *workbench {
	t.Helper()
	b := newWorkbench(t, t.TempDir())
	ws, err := workspace.Create(filepath.Join(b.dir, "workdir"), "default")
	if err == nil {
		err = crowd.Fill(ws, runs, steps)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(b.dir, "Makefile"), []byte("step.made = --image busybox --input "+crowd.Step(0)+" -- true\ninclude "+site.scripts+"/pipex.mk\n"), 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	b.must("pipex-show", crowd.Step(0)) // makes the index
	return b
}

// newest is the newest run of the first step.
func (b *workbench) newest() string { return b.must("pipex-link", crowd.Step(0)) }
