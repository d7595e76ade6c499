package exec

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/endpoint"
	"pipex/lib/internal/oci"
	"pipex/lib/name"
	"pipex/lib/run"
	"pipex/lib/step"
	"pipex/lib/workspace"
)

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// prepared is an execution of the open run r of a new workspace. It has a container half
// on paper only.
func prepared(t *testing.T, p step.Pinned) *execution {
	t.Helper()
	workdir := t.TempDir()
	ws, err := workspace.Create(workdir, "ws")
	ok(t, err)
	if p.Output == "" {
		p.Output, p.Hostname, p.Network = step.DefaultOutput, step.DefaultHostname, step.NetworkNone
	}
	m := &workspace.Meta{RunID: "r", Pinned: p, Status: workspace.Prepared, PreparedAt: workspace.Now(), Container: &workspace.Container{ID: "id", Namespace: "ns", Snapshotter: "overlayfs"}}
	shared, err := ws.Shared(t.Context())
	ok(t, err)
	r, err := ws.Stage(m, shared, nil)
	ok(t, err)
	place := run.Place{Workdir: workdir, Workspace: "ws", Containerd: endpoint.Containerd{Address: filepath.Join(workdir, "none.sock")}}
	return &execution{Place: place, ws: ws, run: r, meta: m}
}

// untouched makes sure that a run is as it was: its record, and that nobody holds it.
func untouched(t *testing.T, x *execution) {
	t.Helper()
	m, err := x.run.Meta()
	ok(t, err)
	if m.Status != workspace.Prepared || len(m.Execs) > 0 {
		t.Errorf("the run was touched: %+v", m)
	}
	lock, err := x.ws.HoldRun("r", "test")
	ok(t, err)
	lock.Release()
	if left, err := os.ReadDir(filepath.Join(x.ws.Root, ".pipex", "tmp")); err == nil && len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// What cannot begin changes nothing, and says what it is.
func TestExecThatCannotBegin(t *testing.T) {
	x := prepared(t, step.Pinned{})
	var busy *workspace.BusyError
	var wrong *name.Error
	elsewhere := x.Place
	elsewhere.Workspace = "none"
	for what, c := range map[string]struct {
		place run.Place
		id    string
		is    func(error) bool
	}{
		"no containerd": {x.Place, "r", func(err error) bool { return errors.Is(err, containerd.ErrUnreachable) }},
		"no run":        {x.Place, "s", func(err error) bool { return errors.Is(err, workspace.ErrNoRun) }},
		"no workspace":  {elsewhere, "r", func(err error) bool { return errors.Is(err, workspace.ErrNoWorkspace) }},
		"no name":       {x.Place, "../staging/r", func(err error) bool { return errors.As(err, &wrong) }},
		"nothing":       {x.Place, "", func(err error) bool { return errors.As(err, &wrong) }},
	} {
		if code, err := Exec(t.Context(), c.place, c.id, Options{}); !c.is(err) || code != 0 || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %d, %v", what, code, err)
		}
	}
	untouched(t, x)

	held, err := x.ws.HoldRun("r", "test")
	ok(t, err)
	if _, err := Exec(t.Context(), x.Place, "r", Options{}); !errors.As(err, &busy) {
		t.Errorf("another process has it: %v", err)
	}
	held.Release()
	untouched(t, x)
}

// A run without an image has nothing to be executed: the error says where to put what is
// to be committed.
func TestExecWithoutAContainer(t *testing.T) {
	x := prepared(t, step.Pinned{})
	x.meta.Container = nil
	ok(t, x.ws.WriteMeta(x.run, x.meta))
	if _, err := Exec(t.Context(), x.Place, "r", Options{}); err == nil || !strings.Contains(err.Error(), x.run.Artifacts()) {
		t.Errorf("%v", err)
	}
	untouched(t, x)
	x.meta.Status = workspace.Success
	_, err := x.ws.Commit(t.Context(), x.run, x.meta)
	ok(t, err)
	if _, err := Exec(t.Context(), x.Place, "r", Options{}); !errors.Is(err, workspace.ErrCommitted) {
		t.Errorf("a committed run: %v", err)
	}
}

// The later variables win, and no name is there twice.
func TestVariables(t *testing.T) {
	x := prepared(t, step.Pinned{})
	x.meta.Hostname = "h"
	x.meta.Container.Env = []string{"PATH=/bin", "A=image", "B=image", "HOSTNAME=image", "ODD"}
	x.meta.Env = map[string]string{"B": "step", "C": "a=b", "PATH": ""}
	if got, want := x.variables(), []string{"A=image", "HOSTNAME=image", "ODD", "B=step", "C=a=b", "PATH="}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	x.meta.Env, x.meta.Container.Env = nil, nil
	if got := x.variables(); !slices.Equal(got, []string{"HOSTNAME=h"}) {
		t.Errorf("%q", got)
	}
}

// A secret is read where the step says, byte for byte, and the reason why it is not never
// holds its value.
func TestReadSecret(t *testing.T) {
	x := prepared(t, step.Pinned{})
	dir := t.TempDir()
	file := func(text string) string {
		f, err := os.CreateTemp(dir, "")
		ok(t, err)
		defer f.Close()
		_, err = f.WriteString(text)
		ok(t, err)
		return f.Name()
	}
	x.Lookup = func(key string) (string, bool) {
		value, is := map[string]string{"SET": "value\n", "EMPTY": "", "NUL": "hush\x00"}[key]
		return value, is
	}
	for _, c := range []struct {
		secret step.Secret
		want   string
		says   string // of the error
	}{
		{step.Secret{Name: "SET"}, "value\n", ""},
		{step.Secret{Name: "EMPTY"}, "", ""},
		{step.Secret{Name: "NUL"}, "hush\x00", ""},
		{step.Secret{Name: "NUL", Env: true}, "", "NUL byte"},
		{step.Secret{Name: "UNSET"}, "", "--secret UNSET=FILE"},
		{step.Secret{Name: "SET", File: file("from a file\n")}, "from a file\n", ""},
		{step.Secret{Name: "F", File: file("")}, "", ""},
		{step.Secret{Name: "F", File: file("hush\x00"), Env: true}, "", "NUL byte"},
		{step.Secret{Name: "F", File: file(strings.Repeat("x", maxSecret))}, strings.Repeat("x", maxSecret), ""},
		{step.Secret{Name: "F", File: file(strings.Repeat("x", maxSecret+1))}, "", "larger than"},
		{step.Secret{Name: "F", File: "/dev/zero"}, "", "larger than"}, // which has no end
		{step.Secret{Name: "F", File: filepath.Join(dir, "none")}, "", "cannot read secret"},
		{step.Secret{Name: "F", File: dir}, "", "cannot read secret"},
	} {
		got, err := x.readSecret(c.secret)
		if string(got) != c.want || (err == nil) != (c.says == "") {
			t.Errorf("%+v: %d bytes, %v", c.secret, len(got), err)
		}
		if err != nil && (!strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), c.secret.Name) || strings.Contains(err.Error(), "hush")) {
			t.Errorf("%+v: %v", c.secret, err)
		}
	}
	x.Lookup = nil
	if _, err := x.readSecret(step.Secret{Name: "SET"}); err == nil {
		t.Error("nobody looks it up: no error")
	}
}

// A secret that is to be a variable needs a program for it; the others do not.
func TestSecretsNeedAProgramForVariables(t *testing.T) {
	x := prepared(t, step.Pinned{Options: step.Options{Secrets: []step.Secret{{Name: "A"}, {Name: "B"}}}})
	x.Lookup = func(string) (string, bool) { return "v", true }
	c := new(oci.Container)
	if err := x.secrets(c); err != nil || len(c.Secrets) != 2 || c.EnvProgram != "" {
		t.Errorf("%+v, %v", c, err)
	}
	x.meta.Secrets[1].Env = true
	for _, program := range []string{"", "/no/such/program", "/etc/passwd"} {
		x.EnvProgram = program
		if err := x.secrets(new(oci.Container)); err == nil || !strings.Contains(err.Error(), `"B"`) {
			t.Errorf("%q: %v", program, err)
		}
	}
}

// committed makes a committed run to be an input.
func committed(t *testing.T, ws *workspace.Workspace, id string) {
	t.Helper()
	shared, err := ws.Shared(t.Context())
	ok(t, err)
	m := &workspace.Meta{RunID: id, Status: workspace.Success}
	r, err := ws.Stage(m, shared, nil)
	ok(t, err)
	_, err = ws.Commit(t.Context(), r, m)
	ok(t, err)
}

// The host's files are trusted and read-only; what steps wrote is not trusted; the output
// and caches can be written to.
func TestMounts(t *testing.T) {
	host := t.TempDir()
	x := prepared(t, step.Pinned{
		Inputs:      []step.PinnedInput{{Step: "a", RunID: "in", MountedAs: "/in"}, {Step: "b", RunID: "gone", Copied: true}},
		Mounts:      []step.PinnedMount{{HostPath: host, ContainerPath: "/m"}},
		CacheMounts: []step.Cache{{Name: "rw", Path: "/rw"}, {Name: "ro", Path: "/ro", ReadOnly: true}},
	})
	committed(t, x.ws, "in")
	c, err := x.container()
	ok(t, err)
	cache := filepath.Join(x.ws.Root, "caches")
	want := []oci.Mount{
		{Source: x.run.Artifacts(), Destination: "/output"},
		{Source: filepath.Join(x.ws.Root, "runs", "in", "artifacts"), Destination: "/in", ReadOnly: true},
		{Source: host, Destination: "/m", ReadOnly: true, Trusted: true},
		{Source: cache + "/rw", Destination: "/rw"},
		{Source: cache + "/ro", Destination: "/ro", ReadOnly: true},
	}
	for i, m := range want {
		if i >= len(c.Mounts) || c.Mounts[i].Source != m.Source || c.Mounts[i].Destination != m.Destination || c.Mounts[i].ReadOnly != m.ReadOnly || c.Mounts[i].Trusted != m.Trusted {
			t.Errorf("got %+v, want %+v", c.Mounts, m)
			break
		}
	}
	if len(c.Mounts) != len(want) || !slices.Equal(c.Writable, []string{x.run.Artifacts(), cache + "/rw"}) {
		t.Errorf("%+v, writable %q", c.Mounts, c.Writable)
	}
}

// What was there when the run was prepared may be gone: the error names it, and the run.
func TestMountsThatAreGone(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "gone")
	for what, p := range map[string]step.Pinned{
		`mount "` + gone + `"`: {Mounts: []step.PinnedMount{{HostPath: gone, ContainerPath: "/m"}}},
		`input "a"`:            {Inputs: []step.PinnedInput{{Step: "a", RunID: "gone", MountedAs: "/in"}}},
	} {
		x := prepared(t, p)
		if c, err := x.container(); err == nil || !strings.Contains(err.Error(), what+` is gone since run "r" was prepared`) {
			t.Errorf("%s: %+v, %v", what, c, err)
		}
		untouched(t, x)
	}
}

// A setup's caches come in place of the step's of the same name or path, and its command
// and network in place of the step's.
func TestSetup(t *testing.T) {
	x := prepared(t, step.Pinned{
		Options:     step.Options{Output: "/output", Cmd: []string{"c"}, Network: step.NetworkNone},
		CacheMounts: []step.Cache{{Name: "a", Path: "/a"}, {Name: "b", Path: "/b"}, {Name: "c", Path: "/c"}},
		Setup:       &step.PinnedSetup{Cmd: []string{"s"}, Network: step.NetworkHost, CacheMounts: []step.Cache{{Name: "a", Path: "/x"}, {Name: "d", Path: "/b"}}},
	})
	x.meta.Container.Entrypoint = []string{"e"}
	before := slices.Clone(x.meta.CacheMounts)
	s := x.beginSetup()
	if got, want := s.cacheMounts(), []step.Cache{{Name: "c", Path: "/c"}, {Name: "a", Path: "/x"}, {Name: "d", Path: "/b"}}; !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if !slices.Equal(x.cacheMounts(), before) {
		t.Errorf("the step's own are now %+v", x.cacheMounts())
	}
	c, err := s.container()
	if err != nil || !slices.Equal(c.Args, []string{"s"}) || c.Network != step.NetworkHost {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = x.container()
	if err != nil || !slices.Equal(c.Args, []string{"e", "c"}) || c.Network != step.NetworkNone {
		t.Errorf("%+v, %v", c, err)
	}
	x.Cmd, x.Network = []string{"own"}, step.NetworkHost
	c, err = x.container()
	if err != nil || !slices.Equal(c.Args, []string{"own"}) || c.Network != step.NetworkHost {
		t.Errorf("%+v, %v", c, err)
	}
	if s := x.beginSetup(); s.Network != "" || s.Stdin != nil || s.Terminal {
		t.Errorf("a setup that somebody types to: %+v", s.Options)
	}
}

// executed is the record of a run after these execs.
func executed(t *testing.T, execs ...func(*execution)) *workspace.Meta {
	t.Helper()
	x := prepared(t, step.Pinned{Setup: &step.PinnedSetup{}})
	for _, run := range execs {
		x.Cmd, x.setup = nil, false
		run(x)
	}
	m, err := x.run.Meta()
	ok(t, err)
	return m
}

// ended is an exec that returns code.
func ended(t *testing.T, code int, change func(*execution)) func(*execution) {
	return func(x *execution) {
		if change != nil {
			change(x)
		}
		ok(t, x.begin([]string{"c"}))
		ok(t, x.end(time.Now(), &code, code))
	}
}

// What an exec without a command of its own returned last is the run's result, and a setup
// decides it only by failing.
func TestTheResultOfARun(t *testing.T) {
	override := func(x *execution) { x.Cmd = []string{"own"} }
	setup := func(x *execution) { x.setup = true }
	for what, c := range map[string]struct {
		execs  []func(*execution)
		status workspace.Status
		code   int // -1 for none
	}{
		"success":                 {[]func(*execution){ended(t, 0, nil)}, workspace.Success, 0},
		"failure":                 {[]func(*execution){ended(t, 3, nil)}, workspace.Failure, 3},
		"the last one decides":    {[]func(*execution){ended(t, 3, nil), ended(t, 0, nil)}, workspace.Success, 0},
		"also when it is worse":   {[]func(*execution){ended(t, 0, nil), ended(t, 3, nil)}, workspace.Failure, 3},
		"an own command does not": {[]func(*execution){ended(t, 0, override)}, workspace.Prepared, -1},
		"nor after another":       {[]func(*execution){ended(t, 3, nil), ended(t, 0, override)}, workspace.Failure, 3},
		"nor by failing":          {[]func(*execution){ended(t, 0, nil), ended(t, 3, override)}, workspace.Success, 0},
		"a setup does not":        {[]func(*execution){ended(t, 0, setup)}, workspace.Prepared, -1},
		"but by failing":          {[]func(*execution){ended(t, 3, setup)}, workspace.Failure, 3},
		"one under way":           {[]func(*execution){ended(t, 0, nil), func(x *execution) { ok(t, x.begin([]string{"c"})) }}, workspace.Running, -1},
		"a lost one fails":        {[]func(*execution){ended(t, 0, nil), func(x *execution) { ok(t, x.begin([]string{"c"})); x.lost(); ok(t, x.ws.WriteMeta(x.run, x.meta)) }}, workspace.Failure, FailedCode},
	} {
		m := executed(t, c.execs...)
		code := -1
		if m.ExitCode != nil {
			code = *m.ExitCode
		}
		if m.Status != c.status || code != c.code || len(m.Execs) != len(c.execs) {
			t.Errorf("%s: %s, %d; want %s, %d", what, m.Status, code, c.status, c.code)
		}
		if setup := what == "but by failing"; strings.Contains(m.Reason, "in the setup") != setup {
			t.Errorf("%s: reason %q", what, m.Reason)
		}
	}
}

// The reason says what the status does not, with the limit that was reached, and the
// signal that a status stands for.
func TestReasons(t *testing.T) {
	oom := func(r *workspace.Exec) { r.Usage = &workspace.Usage{OOMKilled: true} }
	for want, c := range map[string]struct {
		code   int
		change func(*workspace.Exec)
		limits *step.PinnedLimits
	}{
		"timed out after 1h30m":                {137, func(r *workspace.Exec) { r.TimedOut = true }, nil},
		"killed for want of memory":            {137, oom, nil},
		"killed for want of memory at 512 MiB": {1, oom, &step.PinnedLimits{MemoryBytes: 512 << 20}},
		"killed for want of memory at 1.5 GiB": {137, oom, &step.PinnedLimits{MemoryBytes: 3 << 29}},
		"ended by SIGKILL":                     {137, func(*workspace.Exec) {}, nil},
		"lost":                                 {1, func(r *workspace.Exec) { r.Error = "lost" }, nil},
		"":                                     {0, oom, nil},
	} {
		m := executed(t, func(x *execution) {
			x.Timeout, x.meta.Limits = 90*time.Minute, c.limits
			ok(t, x.begin([]string{"c"}))
			c.change(x.record())
			ok(t, x.end(time.Now(), &c.code, c.code))
		})
		if m.Reason != want {
			t.Errorf("%q, want %q", m.Reason, want)
		}
	}
	for code, want := range map[int]string{0: "", 1: "", 128: "", 129: "SIGHUP", 255: ""} {
		if m := executed(t, ended(t, code, nil)); m.Execs[0].Signal != want {
			t.Errorf("%d: %q, want %q", code, m.Execs[0].Signal, want)
		}
	}
}

// An exec that died with its task is closed in the record, once; one that ended is left.
func TestLost(t *testing.T) {
	x := prepared(t, step.Pinned{})
	x.lost() // none began
	ok(t, x.begin([]string{"c"}))
	x.lost()
	if r := x.record(); r.FinishedAt == nil || r.ExitCode != nil || !strings.Contains(r.Error, "lost") {
		t.Errorf("%+v", r)
	}
	before := *x.record()
	x.lost()
	if *x.record().FinishedAt != *before.FinishedAt {
		t.Error("it was closed twice")
	}
}

// An error before there was a task has no status, unless it is the command's own fault, as
// env(1) has it; either way the exec's record is closed.
func TestFailed(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
	}{
		{&containerd.CommandError{Code: 127, Cmd: "x", Why: "y"}, 127},
		{&containerd.CommandError{Code: 126, Cmd: "x", Why: "y"}, 126},
		{errors.New("the disk is full"), 0},
	} {
		x := prepared(t, step.Pinned{})
		var warned error
		x.Warn = func(err error) { warned = errors.Join(warned, err) }
		ok(t, x.begin([]string{"c"}))
		code, err := x.failed(c.err)
		if code != c.code || (err == nil) != (c.code != 0) || err != nil && !errors.Is(err, c.err) {
			t.Errorf("%v: %d, %v", c.err, code, err)
		}
		if c.code != 0 && !errors.Is(warned, c.err) {
			t.Errorf("%v: nobody was told: %v", c.err, warned)
		}
		m, err := x.run.Meta()
		ok(t, err)
		r := m.Execs[0]
		if r.FinishedAt == nil || r.Error != c.err.Error() || m.Status != workspace.Failure || (r.ExitCode == nil) != (c.code == 0) {
			t.Errorf("%v: %+v", c.err, m)
		}
	}
	x := prepared(t, step.Pinned{})
	ok(t, x.begin([]string{"c"}))
	x.waiting = true
	if _, err := x.failed(errors.New("containerd is gone")); err == nil {
		t.Error("no error")
	}
	var log unix.Stat_t
	ok(t, unix.Stat(x.run.Stdout(), &log))
	if log.Blocks == 0 {
		t.Error("a log was truncated that the shim may be writing to")
	}
	x = prepared(t, step.Pinned{})
	before := errors.New("before it began")
	if code, err := x.failed(before); code != 0 || !errors.Is(err, before) {
		t.Errorf("%d, %v", code, err)
	}
	untouched(t, x)
}

// A timeout counts from when the command began, also for an exec that attached later.
func TestTimeout(t *testing.T) {
	x := prepared(t, step.Pinned{})
	for grace, want := range map[time.Duration]time.Duration{0: DefaultGrace, -1: 0, time.Second: time.Second} {
		if x.Grace = grace; x.grace() != want {
			t.Errorf("%v: %v", grace, x.grace())
		}
	}
	x.meta.Execs = []workspace.Exec{{StartedAt: workspace.Time{Time: time.Now().Add(-time.Hour)}}}
	if x.timeout() != nil {
		t.Error("a timeout that nobody asked for")
	}
	x.meta.TimeoutMs = 1000
	select {
	case <-x.timeout():
	case <-time.After(time.Second):
		t.Error("an hour has not been a second")
	}
	x.Timeout = 2 * time.Hour // replaces the prepared one
	select {
	case <-x.timeout():
		t.Error("an hour has been two")
	case <-time.After(20 * time.Millisecond):
	}
}

// The logs are kept to the prepared size unless another one is asked for, and each exec's
// part begins where the log ended.
func TestBegin(t *testing.T) {
	x := prepared(t, step.Pinned{Limits: &step.PinnedLimits{LogMaxBytes: 5}})
	ok(t, os.WriteFile(x.run.Stdout(), []byte("earlier"), 0o600))
	ok(t, x.begin([]string{"c"}))
	if r := x.record(); r.LogMaxBytes != 5 || r.StdoutOffset != 7 || r.StderrOffset != 0 || keep(r.StdoutOffset, r.LogMaxBytes) != 12 {
		t.Errorf("%+v", r)
	}
	x.LogMax = 9
	ok(t, x.begin([]string{"c"}))
	if r := x.record(); r.LogMaxBytes != 9 {
		t.Errorf("%+v", r)
	}
	if keep(7, 0) >= 0 {
		t.Error("a log without a limit is cut")
	}
	ok(t, os.Remove(x.run.Stderr()))
	if err := x.begin([]string{"c"}); err == nil {
		t.Error("there is no log: no error")
	}
}

// A signal ends what comes before the command, and afterwards it is the command's.
func TestInterruptible(t *testing.T) {
	signals := make(chan os.Signal, 1)
	x := &execution{Options: Options{Signals: signals}}
	ctx, done := Interruptible(t.Context(), x.Signals)
	signals <- syscall.SIGTERM
	<-ctx.Done()
	var interrupted *InterruptedError
	if err := done(); !errors.As(err, &interrupted) || interrupted.Signal != syscall.SIGTERM || !strings.Contains(err.Error(), "terminated") {
		t.Errorf("%v", err)
	}

	_, done = Interruptible(t.Context(), x.Signals)
	if err := done(); err != nil {
		t.Error(err)
	}
	signals <- syscall.SIGINT
	select {
	case <-signals:
	default:
		t.Error("the command's signal was taken")
	}
	x.Signals = nil
	_, done = Interruptible(t.Context(), x.Signals)
	done()
}

// A signal that arrives before the command begins is the command's, or it ends the exec. It
// is never lost.
func TestASignalBeforeTheCommand(t *testing.T) {
	for _, caches := range [][]step.Cache{nil, {{Name: "a", Path: "/a", Exclusive: true}}} {
		x := prepared(t, step.Pinned{CacheMounts: caches})
		signals := make(chan os.Signal, 1)
		x.Signals = signals
		for range 100 {
			signals <- syscall.SIGTERM
			var interrupted *InterruptedError
			if err := x.holdCaches(t.Context()); err != nil && !errors.As(err, &interrupted) {
				t.Fatal(err)
			}
			x.release()
			x.caches = nil
			select {
			case <-signals:
				if interrupted != nil {
					t.Fatal("the signal comes twice")
				}
			default:
				if interrupted == nil {
					t.Fatalf("caches %v: the signal is lost", caches)
				}
			}
		}
	}
}

// An exclusive cache is waited for until ctx or a signal ends that, and then none is held.
func TestHoldCachesGivesUp(t *testing.T) {
	x := prepared(t, step.Pinned{CacheMounts: []step.Cache{{Name: "b", Path: "/b", Exclusive: true}, {Name: "a", Path: "/a", Exclusive: true}, {Name: "c", Path: "/c"}}})
	held, err := x.ws.HoldCache(t.Context(), "b", "test", nil)
	ok(t, err)
	defer held.Release()
	signals := make(chan os.Signal, 1)
	x.Signals = signals
	waiting := make(chan error, 1)
	x.Warn = func(err error) {
		waiting <- err
		signals <- syscall.SIGINT
	}
	var interrupted *InterruptedError
	if err := x.holdCaches(t.Context()); !errors.As(err, &interrupted) {
		t.Errorf("%v", err)
	}
	var busy *workspace.BusyError
	if err := <-waiting; !errors.As(err, &busy) || !strings.Contains(err.Error(), `cache "b"`) {
		t.Errorf("nobody was told what it waits for: %v", err)
	}
	if len(x.caches) != 1 {
		t.Errorf("%d caches are held: a comes before b, and c is not exclusive", len(x.caches))
	}
	x.release()
	free, err := x.ws.HoldCache(t.Context(), "a", "test", func(err error) { t.Errorf("after release: %v", err) })
	ok(t, err)
	free.Release()

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	x.Warn = nil
	if err := x.holdCaches(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	x.release()
}

// -t without a terminal is refused before anything is begun.
func TestTerminalWithoutOne(t *testing.T) {
	x := prepared(t, step.Pinned{})
	null, err := os.Open(os.DevNull)
	ok(t, err)
	defer null.Close()
	for _, o := range []Options{{Terminal: true}, {Terminal: true, Stdin: null}, {Terminal: true, Stdout: null}, {Terminal: true, Stdout: new(strings.Builder)}} {
		x.Options = o
		if term, err := x.openTerminal(); term != nil || !errors.Is(err, errNoTerminal) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	x.Options = Options{}
	if term, err := x.openTerminal(); term != nil || err != nil {
		t.Errorf("%v", err)
	}
	untouched(t, x)
}

// The FIFO of an input has a name only until both ends have it, and none without an input.
func TestStdin(t *testing.T) {
	x := prepared(t, step.Pinned{})
	in, err := x.openStdin()
	if in != nil || err != nil || in.path() != "" {
		t.Errorf("%+v, %v", in, err)
	}
	in.unlink() // of none
	in.copy(t.Context(), nil)

	null, err := os.Open(os.DevNull)
	ok(t, err)
	defer null.Close()
	x.Stdin = null
	in, err = x.openStdin()
	ok(t, err)
	defer in.to.Close()
	if info, err := os.Stat(in.path()); err != nil || info.Mode().Type() != os.ModeNamedPipe || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	in.unlink()
	in.unlink()
	untouched(t, x)
}

// A setup is done when it has come to its end with success; nothing else that succeeded is
// one.
func TestIsSetUp(t *testing.T) {
	zero, one := 0, 1
	for want, execs := range map[bool][]workspace.Exec{
		false: {{ExitCode: &zero}, {Setup: true}, {Setup: true, ExitCode: &one}, {Setup: true, ExitCode: &zero, TimedOut: true}},
		true:  {{Setup: true, ExitCode: &one}, {Setup: true, ExitCode: &zero}, {ExitCode: &one}},
	} {
		x := &execution{meta: &workspace.Meta{Execs: execs}}
		if x.isSetUp() != want {
			t.Errorf("%+v: %v", execs, !want)
		}
	}
}

// The record of an exec under way has its start and nothing of the result before it. An
// exec of another command leaves the result as it is.
func TestRecordOfAnExecUnderWay(t *testing.T) {
	m := executed(t, ended(t, 3, nil), func(x *execution) { ok(t, x.begin([]string{"c"})) })
	if m.StartedAt == nil || m.StartedAt.Before(m.Execs[0].FinishedAt.Time) || m.FinishedAt != nil || m.ExitCode != nil || m.DurationMs != 0 {
		t.Errorf("%+v", m)
	}
	m = executed(t, ended(t, 3, nil), func(x *execution) {
		x.Cmd = []string{"look"}
		ok(t, x.begin([]string{"look"}))
	})
	if m.Status != workspace.Running || m.FinishedAt == nil || m.ExitCode == nil || *m.ExitCode != 3 {
		t.Errorf("%+v", m)
	}
}
