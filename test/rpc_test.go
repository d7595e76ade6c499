package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"pipex/test/proxy"
)

// An rpcCase is a verb whose calls of containerd break, one at a time.
type rpcCase struct {
	name, verb string
	// want is the verb's status when nothing breaks.
	want int
	// before makes what the verb works on, and returns its options and operands.
	before func(b *workbench, n int) []string
	// after looks at what the verb left: got is its status, again says that it was
	// called a second time, without a fault.
	after func(b *workbench, n, got int, again bool)
}

func name(prefix string, n int) string { return fmt.Sprint(prefix, n) }

// The command ends with a status of its own, and leaves a line both in its log and in
// its output each time that it runs.
const (
	rpcCommand = "echo out; echo ran >>/output/ran; exit 7"
	rpcStatus  = 7
)

func opened(b *workbench, id string, options ...string) {
	b.Helper()
	b.must(append(append([]string{"pipex-prepare", "--run-id", id, "--step", "s", "--image", "busybox"}, options...), "--", "sh", "-c", rpcCommand)...)
}

func executed(b *workbench, id string) {
	b.Helper()
	opened(b, id)
	if status, _, stderr := b.call("pipex-exec", id); status != rpcStatus {
		b.Fatalf("exec %s: status %d: %s", id, status, stderr)
	}
}

// abandoned is a run whose exec was killed while its command runs.
func abandoned(b *workbench, id, command string) {
	b.Helper()
	b.must("pipex-prepare", "--run-id", id, "--step", "s", "--image", "busybox", "--", "sh", "-c", command)
	exec := b.command("pipex-exec", id)
	if err := exec.Start(); err != nil {
		b.Fatal(err)
	}
	b.until("the command of "+id+" runs", func() bool { return b.exists("staging", id, "artifacts", "ran") })
	exec.Process.Kill()
	exec.Wait()
}

// until waits for something that will be so soon.
func (b *workbench) until(what string, so func() bool) {
	b.Helper()
	if !within(limit, so) {
		b.Fatalf("not so after %s: %s", limit, what)
	}
}

// idle waits until none of the workbench's verbs runs, whoever started it: a commit leaves one
// behind.
func (b *workbench) idle() {
	b.Helper()
	ours := []byte("PIPEX_NAMESPACE=" + b.namespace + "\x00")
	b.until("no verb runs", func() bool {
		programs, _ := filepath.Glob("/proc/[0-9]*/exe")
		for _, program := range programs {
			if path, _ := os.Readlink(program); filepath.Dir(path) != verbs(b) {
				continue
			}
			environment, _ := os.ReadFile(filepath.Join(filepath.Dir(program), "environ"))
			if len(environment) == 0 || bytes.Contains(environment, ours) { // none while it starts
				return false
			}
		}
		return true
	})
}

// record is what these tests read of a run's meta.json.
type record struct {
	Status   string
	ExitCode *int
	Execs    []struct {
		FinishedAt *string
		ExitCode   *int
		Error      string
	}
}

func (b *workbench) record(id string) (r record) {
	b.Helper()
	data, err := os.ReadFile(b.path("staging", id, "meta.json"))
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		b.Errorf("run %s: %v", id, err)
	}
	return r
}

// execAfter says what must hold after an exec: its status, the record and the logs
// agree, and no output is lost or there twice.
func execAfter(b *workbench, n, got int, again bool) {
	b.Helper()
	id := name("exec", n)
	r := b.record(id)
	if len(r.Execs) > 0 {
		last := r.Execs[len(r.Execs)-1]
		if last.FinishedAt != nil && (last.ExitCode == nil) == (last.Error == "") {
			b.Errorf("the last exec's record: %+v", last)
		}
	}
	if got == rpcStatus && (r.Status != "failure" || r.ExitCode == nil || *r.ExitCode != rpcStatus) {
		b.Errorf("status %d, and the record: %+v", got, r)
	}
	if !again {
		return
	}
	killed := 0
	for _, e := range r.Execs {
		if e.FinishedAt == nil {
			b.Errorf("an exec without an end: %+v", r)
		}
		if e.Error != "" {
			killed = 1 // between its two lines, perhaps
		}
	}
	ran, _ := os.ReadFile(b.path("staging", id, "artifacts", "ran"))
	out, _ := os.ReadFile(b.path("staging", id, "stdout.log"))
	times, lines := strings.Count(string(ran), "ran\n"), strings.Count(string(out), "out\n")
	if times < 1 || times > 2 || lines < times || lines > times+killed || len(out) != lines*len("out\n") {
		b.Errorf("ran %d times, log %q", times, out)
	}
}

var rpcCases = []rpcCase{{
	name: "prepare", verb: "prepare",
	before: func(b *workbench, n int) []string {
		return []string{"--run-id", name("prepare", n), "--step", "s", "--image", "busybox", "--", "true"}
	},
	after: func(b *workbench, n, got int, again bool) {
		if there := b.exists("staging", name("prepare", n)); there != (got == 0 || again) {
			b.Errorf("status %d, and the run is open: %t", got, there)
		} else if there && (b.record(name("prepare", n)).Status != "prepared" || !b.exists("staging", name("prepare", n), "artifacts")) {
			b.Error("the open run is not complete")
		}
	},
}, {
	// The image is in another namespace only.
	name: "adopt", verb: "prepare",
	before: func(b *workbench, n int) []string {
		for _, image := range b.lines("ctr", "-a", b.address, "-n", b.namespace, "images", "ls", "-q") {
			b.must("ctr", "-a", b.address, "-n", b.namespace, "images", "rm", "--sync", image)
		}
		return []string{"--run-id", name("adopt", n), "--image", "busybox", "--", "true"}
	},
	after: func(b *workbench, n, got int, again bool) {
		if there := b.exists("staging", name("adopt", n)); there != (got == 0 || again) {
			b.Errorf("status %d, and the run is open: %t", got, there)
		}
	},
}, {
	name: "exec", verb: "exec", want: rpcStatus,
	before: func(b *workbench, n int) []string {
		opened(b, name("exec", n))
		return []string{name("exec", n)}
	},
	after: execAfter,
}, {
	// A user's name is looked up in the image, and the copy of a source is made.
	name: "exec-more", verb: "exec", want: rpcStatus,
	before: func(b *workbench, n int) []string {
		opened(b, name("exec", n), "--user", "root", "--source", b.dir+":/source")
		return []string{name("exec", n)}
	},
	after: execAfter,
}, {
	name: "exec-again", verb: "exec", want: rpcStatus,
	before: func(b *workbench, n int) []string {
		abandoned(b, name("exec", n), "echo out; echo ran >>/output/ran; sleep 1; exit 7")
		return []string{name("exec", n)}
	},
	after: execAfter,
}, {
	// These are calls of the process that a commit leaves to remove what the run owned.
	name: "commit", verb: "commit",
	before: func(b *workbench, n int) []string {
		executed(b, name("commit", n))
		return []string{"--allow-failure", name("commit", n)}
	},
	after: func(b *workbench, n, got int, again bool) {
		open, committed := b.exists("staging", name("commit", n)), b.exists("runs", name("commit", n))
		if open == committed || committed != (got == 0) {
			b.Errorf("status %d, in staging %t, in runs %t", got, open, committed)
		}
	},
}, {
	name: "discard", verb: "discard",
	before: func(b *workbench, n int) []string {
		executed(b, name("discard", n))
		return []string{name("discard", n)}
	},
	after: discardAfter,
}, {
	name: "discard-running", verb: "discard",
	before: func(b *workbench, n int) []string {
		abandoned(b, name("discard", n), "echo ran >/output/ran; sleep 1000")
		return []string{name("discard", n)}
	},
	after: discardAfter,
}, {
	name: "prune", verb: "prune",
	before: func(b *workbench, n int) []string {
		executed(b, name("linked", n))
		b.must("pipex-commit", "--allow-failure", name("linked", n))
		b.must("pipex-link", "step", name("linked", n))
		executed(b, name("open", n))
		return []string{"--staging", "--older-than", "0s"}
	},
	after: func(b *workbench, n, got int, again bool) {
		if !b.exists("step-runs", "step", "artifacts", "ran") {
			b.Error("the linked run is gone")
		}
		if got == 0 && b.exists("staging", name("open", n)) {
			b.Error("the open run is still there")
		}
		b.agreed()
	},
}}

func discardAfter(b *workbench, n, got int, again bool) {
	b.Helper()
	if b.exists("runs", name("discard", n)) || got == 0 && b.exists("staging", name("discard", n)) {
		b.Errorf("status %d, and the run is still there", got)
	}
}

// An rpcFault is one of the ways in which a call breaks. reason is what the error must
// say of it.
type rpcFault struct {
	name string
	proxy.Fault
	reason *regexp.Regexp
}

var (
	anyReason  = regexp.MustCompile(`: .+`)
	toldSo     = regexp.MustCompile(proxy.Reason)
	unanswered = regexp.MustCompile(`has not answered within 2s|task has not ended within 20s`)
	brokenOff  = regexp.MustCompile(`connection to containerd`)
)

var rpcFaults = []rpcFault{
	{"fail before", proxy.Fault{}, toldSo},
	{"fail after", proxy.Fault{When: proxy.After}, toldSo},
	{"hang before", proxy.Fault{Action: proxy.Hang}, unanswered},
	{"hang after", proxy.Fault{Action: proxy.Hang, When: proxy.After}, unanswered},
	{"cut before", proxy.Fault{Action: proxy.Cut}, brokenOff},
	{"cut during", proxy.Fault{Action: proxy.Cut, When: proxy.During}, brokenOff},
	{"cut after", proxy.Fault{Action: proxy.Cut, When: proxy.After}, brokenOff},
	{"hang from", proxy.Fault{Action: proxy.Hang, Lasting: true}, unanswered},
	{"cut from", proxy.Fault{Action: proxy.Cut, Lasting: true}, brokenOff},
}

// rpcCodes are statuses of calls that fail: the first is what gRPC itself has for a
// containerd that is not there.
var rpcCodes = []codes.Code{codes.Unavailable, codes.Internal, codes.ResourceExhausted}

// These calls take as long as a command or a large layer does, and are not bounded.
const (
	waitCall  = "/containerd.services.tasks.v1.Tasks/Wait"
	applyCall = "/containerd.services.diff.v1.Diff/Apply"
)

// subject is how an error begins: with what could not be done.
var subject = regexp.MustCompile(`^: cannot .*".+": |^: cannot list .*: |^: task ".+" was lost: |already exists`)

// noise is what only a programmer of gRPC wants to read.
var noise = regexp.MustCompile(`rpc error|code = |desc = |transport:|error reading from server|context deadline`)

// told fails the test unless a verb said what a person needs and no more: with a status
// of its own at most one warning, otherwise one line more that names what it was
// about, and why not.
func (b *workbench) told(verb, stderr string, failed bool, why *regexp.Regexp) {
	b.Helper()
	var failures, warnings []string
	for line := range strings.Lines(stderr) {
		if strings.HasPrefix(line, verb+": warning: ") {
			warnings = append(warnings, line)
		} else {
			failures = append(failures, line)
		}
	}
	if len(warnings) > 1 || len(failures) > 1 || failed != (len(failures) == 1) {
		b.Errorf("%d errors and %d warnings", len(failures), len(warnings))
	}
	for _, line := range failures {
		if !subject.MatchString(strings.TrimPrefix(line, verb)) {
			b.Errorf("no subject")
		}
		if !why.MatchString(line) {
			b.Errorf("no reason: %s", why)
		}
	}
	if found := noise.FindString(stderr); found != "" {
		b.Errorf("noise: %q", found)
	}
}

// rpcRound is one case with a proxy of its own.
type rpcRound struct {
	rpcCase
	*workbench
	proxy  *proxy.Proxy
	socket string
}

// through calls the verb with the proxy before containerd. On a busy machine a call that is
// answered may take more than the 2 seconds after which one that hangs is given up.
func (r *rpcRound) through(a proxy.Action, args []string) (status int, stderr string) {
	b, patience := *r.workbench, "20s"
	if a == proxy.Hang {
		patience = "2s"
	}
	b.address = r.socket
	status, _, stderr = b.call(append([]string{"pipex-" + r.verb, "--rpc-timeout", patience}, args...)...)
	return status, stderr
}

// failed is the verb's status when something breaks.
func (r *rpcRound) failed() int {
	if r.verb == "exec" {
		return 125
	}
	return 128
}

// swept has prune reclaim what is left, and fails the test if that is not all.
func (r *rpcRound) swept() {
	r.Helper()
	r.idle()
	r.must("pipex-prune", "--staging", "--older-than", "0s")
	r.reclaim()
	r.clean()
	r.verified()
}

// calls are those that the verb makes when nothing breaks.
func (r *rpcRound) calls() []string {
	r.must("pipex-prepare", "--run-id", "first", "--image", "busybox", "--", "true")
	r.must("pipex-discard", "first")
	args := r.before(r.workbench, 0)
	r.idle()
	r.proxy.Pass()
	status, stderr := r.through(proxy.Fail, args)
	r.idle()
	if r.told("pipex-"+r.verb, stderr, false, nil); status != r.want || r.Failed() {
		r.Fatalf("without a fault: status %d: %s", status, stderr)
	}
	calls := r.proxy.Calls()
	r.after(r.workbench, 0, status, false)
	r.swept()
	return calls
}

// goOn has containerd come back, as after a restart, for a verb that waits for an answer
// for as long as it takes: a command's end, or a layer that is unpacked.
func (r *rpcRound) goOn(done <-chan struct{}) {
	for hung := 0; hung < 30; {
		select {
		case <-done:
			return
		case <-time.After(100 * time.Millisecond):
		}
		if struck := r.proxy.Struck(); struck == waitCall && r.verb == "exec" || struck == applyCall {
			hung++
		}
	}
	r.proxy.Mend()
	r.proxy.Cut()
}

// try breaks a call, the n-th time that anything does, and says what came of it.
func (r *rpcRound) try(n, call int, f rpcFault) {
	args := r.before(r.workbench, n)
	r.idle()
	r.proxy.Break(call, f.Fault)
	done := make(chan struct{})
	if f.Action != proxy.Fail {
		go r.goOn(done)
	}
	start := time.Now()
	status, stderr := r.through(f.Action, args)
	took := time.Since(start)
	close(done)
	r.idle()
	struck := r.proxy.Struck()
	r.proxy.Pass()
	if took > rpcBound {
		r.Errorf("that is too long")
	}
	if struck == applyCall && f.Action == proxy.Hang {
		f.reason = brokenOff
	}
	if status != r.want && status != r.failed() {
		r.Errorf("neither done nor failed")
	}
	r.told("pipex-"+r.verb, stderr, status != r.want, f.reason)
	r.after(r.workbench, n, status, false)

	again, _, words := r.call(append([]string{"pipex-" + r.verb}, args...)...)
	already := status == r.want && again == 128 && strings.Contains(words, "already exists")
	if r.told("pipex-"+r.verb, words, already, anyReason); again != r.want && !already {
		r.Errorf("called again: status %d: %s", again, words)
	}
	r.after(r.workbench, n, again, true)
	r.swept()
	r.Logf("%s (%s): status %d after %s: %s", struck, f.Code, status, took.Round(time.Millisecond), stderr)
}

// rpcBound is how long a verb may take of which one call hangs: 2 seconds for that, and
// 20 for a killed task to end.
const rpcBound = 30 * time.Second

// Each call of containerd that a verb makes may fail, hang or lose its connection:
// the verb ends soon, says why in one line, and leaves nothing half done. It works
// when it is called again, and prune finds all that is left.
func TestFaultAtEachRPC(t *testing.T) {
	t.Parallel()
	for _, c := range rpcCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			random := dice(t)
			r := rpcRound{rpcCase: c, workbench: newWorkbench(t, t.TempDir())}
			r.proxy, r.socket = between(t)
			calls := r.calls()
			for i, method := range calls {
				t.Logf("call %d: %s", i+1, method)
			}
			points := random.Perm(len(calls) * len(rpcFaults))
			for i, point := range points[:times(min(3, len(points)), len(points))] {
				call, f := point/len(rpcFaults)+1, rpcFaults[point%len(rpcFaults)]
				f.Code = rpcCodes[random.Intn(len(rpcCodes))]
				t.Run(fmt.Sprintf("%s %d", f.name, call), func(t *testing.T) {
					one, b := r, *r.workbench
					b.T, one.workbench = t, &b
					one.try(i+1, call, f)
				})
			}
		})
	}
}

// A commit asks containerd nothing: it publishes the run at once, and says nothing,
// whether there is no containerd or one that never answers. Prune finds what is left.
func TestFaultCommitWithoutContainerd(t *testing.T) {
	t.Parallel()
	b := newWorkbench(t, t.TempDir())
	p, hangs := between(t)
	p.Break(1, proxy.Fault{Action: proxy.Hang, Lasting: true})
	for i, address := range []string{filepath.Join(b.dir, "none"), hangs} {
		id := name("commit", i)
		executed(b, id)
		start := time.Now()
		status, _, stderr := b.call("pipex-commit", "--address", address, "--allow-failure", id)
		if took := time.Since(start); status != 0 || took > 10*time.Second || stderr != "" {
			t.Errorf("%s: status %d after %s: %s", address, status, took, stderr)
		}
		if b.exists("staging", id) || !b.exists("runs", id) {
			t.Errorf("run %s is not committed", id)
		}
	}
	p.Close()
	b.idle()
	b.must("pipex-link", "step", "commit0")
	b.must("pipex-prune", "--staging", "--older-than", "0s")
	b.clean()
	b.verified()
}
