package workspace

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pipex/lib/step"
)

// The record has the fields that @livingdata/pipex reads, in the form that it expects.
func TestMetaIsReadByOthers(t *testing.T) {
	ws, _ := newWorkspace(t)
	at := &Time{time.Date(2026, 1, 2, 3, 4, 5, 6_700_000, time.FixedZone("", 3600))}
	zero := 0
	run := stage(t, ws, Meta{
		RunID: "run", StartedAt: at, FinishedAt: at, ExitCode: &zero, Status: Success,
		Pinned: step.Pinned{
			StepID: "step", StepName: "A <step> & more", Image: "i", Options: step.Options{Cmd: []string{"c"}, Env: map[string]string{"K": "v"}},
			Inputs: []step.PinnedInput{{Step: "s", RunID: "r", MountedAs: "/input/s"}},
			Mounts: []step.PinnedMount{{HostPath: "/h", ContainerPath: "/c"}}, Caches: []string{"c"},
		},
	})
	data, err := os.ReadFile(filepath.Join(run.Dir, "meta.json"))
	ok(t, err)
	var m map[string]any
	ok(t, json.Unmarshal(data, &m))
	for _, key := range strings.Fields("runId stepId stepName startedAt finishedAt durationMs exitCode image cmd env inputs mounts caches allowNetwork fingerprint status") {
		if _, has := m[key]; !has {
			t.Errorf("no %q", key)
		}
	}
	if m["startedAt"] != "2026-01-02T02:04:05.006Z" || m["exitCode"] != 0.0 || m["status"] != "success" || m["stepName"] != "A <step> & more" {
		t.Errorf("%s", data)
	}
	in := m["inputs"].([]any)[0].(map[string]any)
	if in["step"] != "s" || in["runId"] != "r" || in["mountedAs"] != "/input/s" {
		t.Errorf("inputs: %v", in)
	}
}

func TestMetaRoundTrip(t *testing.T) {
	ws, _ := newWorkspace(t)
	run := stage(t, ws, Meta{RunID: "run"})
	code := 7
	want := Meta{
		RunID: "run", StartedAt: &Time{time.UnixMilli(1700000000123).UTC()}, ExitCode: &code, Pinned: step.Pinned{Options: step.Options{Cmd: []string{"a", "<&>\u2028"}}}, Status: Failure,
		PreparedAt: Time{time.UnixMilli(1).UTC()}, Execs: []Exec{{Cmd: []string{"x"}, StartedAt: Time{time.UnixMilli(2).UTC()}, StdoutOffset: 1 << 40}},
	}
	ok(t, ws.WriteMeta(run, &want))
	got, err := run.Meta()
	ok(t, err)
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("\n%+v\n%+v", *got, want)
	}
	if left := names(t, ws, private, "tmp"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if got := names(t, ws, stagingDir, "run"); !slices.Contains(got, "meta.json") || len(got) != 4 {
		t.Errorf("holds %v", got)
	}
}

func TestDamagedMetaNamesTheRunAndTheWayOut(t *testing.T) {

	for _, text := range []string{"", "{", "[]", `{"startedAt": "yesterday"}`, `{"inputs": 7}`} {
		run := Run{ID: "run", Dir: t.TempDir()}
		ok(t, os.WriteFile(filepath.Join(run.Dir, "meta.json"), []byte(text), 0o600))
		if _, err := run.Meta(); err == nil || !strings.Contains(err.Error(), `run "run"`) || !strings.Contains(err.Error(), "pipex-discard") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestHostsFiles(t *testing.T) {
	ws, _ := newWorkspace(t)
	run := stage(t, ws, Meta{RunID: "run"})
	files, err := ws.NetworkFiles(run, "box", false)
	ok(t, err)
	data, err := os.ReadFile(files["hosts"])
	if err != nil || len(files) != 1 || string(data) != "127.0.0.1\tlocalhost box\n::1\tlocalhost box\n" {
		t.Errorf("%v: %q, %v", files, data, err)
	}
	files, err = ws.NetworkFiles(run, "box", true)
	ok(t, err)
	data, err = os.ReadFile(files["hosts"])
	if err != nil || !strings.HasSuffix(string(data), "\n127.0.0.1\tbox\n") {
		t.Errorf("%v: %q, %v", files, data, err)
	}
}

func TestCaches(t *testing.T) {
	ws, _ := newWorkspace(t)
	path, err := ws.PrepareCache("c")
	ok(t, err)
	ok(t, os.WriteFile(filepath.Join(path, "f"), nil, 0o600))
	again, err := ws.PrepareCache("c")
	if err != nil || again != path || filepath.Dir(path) != ws.path(cachesDir) {
		t.Errorf("%q, %v", again, err)
	}
	if _, err := ws.PrepareCache("../c"); err == nil {
		t.Error("a path was taken for a name")
	}
	prune(t, ws, PruneOptions{})
	if all, err := ws.Caches(); err != nil || !slices.Equal(all, []string{"c"}) || len(names(t, ws, cachesDir, "c")) != 1 {
		t.Errorf("%v, %v", all, err)
	}
}
