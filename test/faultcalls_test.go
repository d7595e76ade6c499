package test

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A scenario is a verb that is hurt, and what must hold whatever came of it.
type scenario struct {
	verb string
	// before makes what the verb works on, and returns its operands.
	before func(b *workbench, n int) []string
	// after looks at what the verb left, before and after it is called again.
	after func(b *workbench, operands []string, again bool)
}

// filled is an open run without a container, with some artifacts.
func filled(b *workbench, id string) string {
	b.must("pipex-prepare", "--run-id", id, "--step", "s")
	artifacts := b.path("staging", id, "artifacts")
	err := os.Mkdir(filepath.Join(artifacts, "d"), 0o755)
	for _, name := range []string{"f", "d/g"} {
		if err == nil {
			err = os.WriteFile(filepath.Join(artifacts, name), []byte(id), 0o644)
		}
	}
	if err == nil {
		err = os.Symlink("d/g", filepath.Join(artifacts, "l"))
	}
	if err != nil {
		b.Fatal(err)
	}
	return id
}

func published(b *workbench, id string) string { return b.must("pipex-commit", filled(b, id)) }

func (b *workbench) exists(names ...string) bool {
	_, err := os.Lstat(b.path(names...))
	return err == nil
}

var scenarios = []scenario{{
	verb:   "commit",
	before: func(b *workbench, n int) []string { return []string{filled(b, fmt.Sprint("commit", n))} },
	after: func(b *workbench, run []string, again bool) {
		staged, committed := b.exists("staging", run[0]), b.exists("runs", run[0])
		if staged == committed || again && !committed {
			b.Errorf("run %s: in staging %t, in runs %t", run[0], staged, committed)
		}
	},
}, {
	verb: "link",
	before: func(b *workbench, n int) []string {
		b.must("pipex-link", "step", published(b, fmt.Sprint("old", n)))
		return []string{"step", published(b, fmt.Sprint("new", n))}
	},
	after: func(b *workbench, link []string, again bool) {
		now, n := b.must("pipex-link", link[0]), strings.TrimPrefix(link[1], "new")
		if now != link[1] && (again || now != "old"+n) || !b.exists("step-runs", link[0], "artifacts", "f") {
			b.Errorf("step %s names %s", link[0], now)
		}
		if again {
			b.agreed()
		}
	},
}, {
	verb:   "discard",
	before: func(b *workbench, n int) []string { return []string{filled(b, fmt.Sprint("discard", n))} },
	after: func(b *workbench, run []string, again bool) {
		if b.exists("runs", run[0]) || again && b.exists("staging", run[0]) {
			b.Errorf("run %s is still there", run[0])
		}
	},
}, {
	verb: "prune",
	before: func(b *workbench, n int) []string {
		b.must("pipex-link", "step", published(b, fmt.Sprint("kept", n)))
		for i := range 3 {
			published(b, fmt.Sprintf("spare%d-%d", n, i))
		}
		return []string{"--older-than", "0s"}
	},
	after: func(b *workbench, _ []string, again bool) {
		if !b.exists("step-runs", "step", "artifacts", "f") {
			b.Error("the linked run is gone")
		}
		spare, _ := filepath.Glob(b.path("runs", "spare*"))
		if again && len(spare) > 0 {
			b.Errorf("still there: %v", spare)
		}
	},
}}

// calls counts, with strace(1), how often a command makes each system call on
// files, in that one of its threads that makes it most often.
func calls(b *workbench, args []string) map[string]int {
	log := filepath.Join(b.dir, "calls")
	b.must(append([]string{"strace", "-f", "-qq", "-o", log, "-e", "trace=%file,%desc"}, args...)...)
	f, err := os.Open(log)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	byThread, most := map[string]int{}, map[string]int{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		thread, call, _ := strings.Cut(lines.Text(), " ")
		call, _, ok := strings.Cut(strings.TrimSpace(call), "(")
		if !ok || strings.HasPrefix(call, "<") || slices.Contains(unrelated, call) {
			continue
		}
		byThread[thread+call]++
		most[call] = max(most[call], byThread[thread+call])
	}
	return most
}

// often bounds how many of a verb's calls of one kind are hurt: prune reads a file
// of each process of the machine.
const often = 60

// unrelated are calls on descriptors and programs that are not the verb's work.
var unrelated = []string{"execve", "mmap", "epoll_create1", "epoll_ctl", "epoll_pwait", "eventfd2", "pipe2", "socket", "connect", "prlimit64", "ioctl", "+++", "---"}

// A verb that is killed at, or gets an error from, any of its calls on files
// leaves nothing half done, and works when it is called again.
func TestFaultAtEachCall(t *testing.T) {
	t.Parallel()
	for _, s := range scenarios {
		t.Run(s.verb, func(t *testing.T) {
			t.Parallel()
			random := dice(t)
			b := newWorkbench(t, t.TempDir())
			b.index()
			verb := func(operands []string) []string {
				return append([]string{filepath.Join(verbs(t), "pipex-"+s.verb)}, operands...)
			}
			most := calls(b, verb(s.before(b, 0)))
			type point struct {
				call string
				when int
			}
			var points []point
			for _, call := range slices.Sorted(maps.Keys(most)) {
				for when := range min(most[call], often) {
					points = append(points, point{call, when + 1})
				}
			}
			random.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
			faults := []string{"signal=KILL", "error=EIO", "error=ENOSPC", "error=EACCES"}
			n := 0
			for i, at := range points[:times(min(12, len(points)), len(points))] {
				for j, fault := range faults {
					if times(0, 1) == 0 && j != i%len(faults) {
						continue // one of them will do
					}
					n++
					operands := s.before(b, n)
					inject := fmt.Sprintf("inject=%s:%s:when=%d", at.call, fault, at.when)
					start := time.Now()
					status, _, stderr := b.call(append([]string{"strace", "-f", "-qq", "-o", "/dev/null", "-e", inject}, verb(operands)...)...)
					if time.Since(start) > 20*time.Second {
						t.Errorf("hung")
					}
					s.after(b, operands, false)
					b.verified()
					if again, _, words := b.call(verb(operands)...); again != 0 {
						t.Errorf("called again: status %d: %s", again, words)
					}
					s.after(b, operands, true)
					b.must("pipex-prune", "--older-than", "0s", "--staging")
					b.verified()
					b.agreed()
					b.indexed()
					b.swept()
					if t.Failed() {
						t.Fatalf("after %s: status %d: %s", inject, status, stderr)
					}
				}
			}
			t.Logf("%d faults at %d calls", n, len(points))
		})
	}
}
