package exec

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pipex/lib/internal/containerd"
	"pipex/lib/step"
	"pipex/lib/workspace"
)

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
		ok(t, begin(x, "c"))
		ok(t, x.end(time.Now(), &code, code))
	}
}

// begin records that an exec of a command begins.
func begin(x *execution, command string) error {
	if err := x.begin([]string{command}); err != nil {
		return err
	}
	return x.write()
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
		"one under way":           {[]func(*execution){ended(t, 0, nil), func(x *execution) { ok(t, begin(x, "c")) }}, workspace.Running, -1},
		"a lost one fails":        {[]func(*execution){ended(t, 0, nil), func(x *execution) { ok(t, begin(x, "c")); x.lost(); ok(t, x.ws.WriteMeta(x.run, x.meta)) }}, workspace.Failure, FailedCode},
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
			ok(t, begin(x, "c"))
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
	ok(t, begin(x, "c"))
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
		ok(t, begin(x, "c"))
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
	ok(t, begin(x, "c"))
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

// The logs are kept to the prepared size unless another one is asked for, and each exec's
// part begins where the log ended.
func TestBegin(t *testing.T) {
	x := prepared(t, step.Pinned{Limits: &step.PinnedLimits{LogMaxBytes: 5}})
	ok(t, os.WriteFile(x.run.Stdout(), []byte("earlier"), 0o600))
	ok(t, begin(x, "c"))
	if r := x.record(); r.LogMaxBytes != 5 || r.StdoutOffset != 7 || r.StderrOffset != 0 || keep(r.StdoutOffset, r.LogMaxBytes) != 12 {
		t.Errorf("%+v", r)
	}
	x.LogMax = 9
	ok(t, begin(x, "c"))
	if r := x.record(); r.LogMaxBytes != 9 {
		t.Errorf("%+v", r)
	}
	if keep(7, 0) >= 0 {
		t.Error("a log without a limit is cut")
	}
	ok(t, os.Remove(x.run.Stderr()))
	if err := begin(x, "c"); err == nil {
		t.Error("there is no log: no error")
	}
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
		if x.isSetUp(context.Background()) != want {
			t.Errorf("%+v: %v", execs, !want)
		}
	}
}

// The record of an exec under way has its start and nothing of the result before it. An
// exec of another command leaves the result as it is.
func TestRecordOfAnExecUnderWay(t *testing.T) {
	m := executed(t, ended(t, 3, nil), func(x *execution) { ok(t, begin(x, "c")) })
	if m.StartedAt == nil || m.StartedAt.Before(m.Execs[0].FinishedAt.Time) || m.FinishedAt != nil || m.ExitCode != nil || m.DurationMs != 0 {
		t.Errorf("%+v", m)
	}
	m = executed(t, ended(t, 3, nil), func(x *execution) {
		x.Cmd = []string{"look"}
		ok(t, begin(x, "look"))
	})
	if m.Status != workspace.Running || m.FinishedAt == nil || m.ExitCode == nil || *m.ExitCode != 3 {
		t.Errorf("%+v", m)
	}
}
