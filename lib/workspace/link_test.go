package workspace

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pipex/lib/name"
)

// stateSteps is what another reader finds in state.json.
func stateSteps(t *testing.T, ws *Workspace) map[string]string {
	t.Helper()
	data, err := os.ReadFile(ws.path("state.json"))
	ok(t, err)
	var state struct {
		Steps map[string]struct{ RunID, Fingerprint string }
	}
	ok(t, json.Unmarshal(data, &state))
	steps := map[string]string{}
	for step, entry := range state.Steps {
		steps[step] = entry.RunID
	}
	return steps
}

// agree fails the test unless links and state.json say the same.
func agree(t *testing.T, ws *Workspace) {
	t.Helper()
	links, err := ws.Links()
	ok(t, err)
	steps := stateSteps(t, ws)
	if len(links) != len(steps) {
		t.Errorf("%d links, %d steps in state.json", len(links), len(steps))
	}
	for _, l := range links {
		if steps[l.Step] != l.RunID {
			t.Errorf("step %s: linked to %s, state.json says %q", l.Step, l.RunID, steps[l.Step])
		}
	}
}

func TestLinkNamesRun(t *testing.T) {
	ws, _ := newWorkspace(t)
	ctx := context.Background()
	commit(t, ws, Meta{RunID: "one", Fingerprint: "f1"})
	commit(t, ws, Meta{RunID: "two", Fingerprint: "f2"})
	stage(t, ws, Meta{RunID: "open"})
	if _, err := ws.Linked("step"); !errors.Is(err, ErrNoStep) {
		t.Error(err)
	}
	ok(t, ws.Link(ctx, "step", "one"))
	ok(t, ws.Link(ctx, "step", "two"))
	ok(t, ws.Link(ctx, "step", "two"))
	if id, err := ws.Linked("step"); id != "two" {
		t.Errorf("%q, %v", id, err)
	}
	if target, err := os.Readlink(ws.path(linksDir, "step")); target != "../runs/two" {
		t.Errorf("%q, %v", target, err)
	}
	agree(t, ws)
	if err := ws.Link(ctx, "step", "open"); !errors.Is(err, ErrNotCommitted) {
		t.Error(err)
	}
	if err := ws.Link(ctx, "step", "none"); !errors.Is(err, ErrNoRun) {
		t.Error(err)
	}
	if err := ws.Link(ctx, "../step", "one"); err == nil {
		t.Error("a path was taken for a name")
	}
	ok(t, ws.Unlink(ctx, "step"))
	if err := ws.Unlink(ctx, "step"); !errors.Is(err, ErrNoStep) {
		t.Error(err)
	}
	agree(t, ws)
	if _, err := ws.Run("two"); err != nil {
		t.Errorf("unlinking took the run: %v", err)
	}
}

// While a link is replaced over and over by many processes, a reader never
// finds it missing or broken, and in the end state.json agrees.
func TestLinkIsNeverMissing(t *testing.T) {
	ws, workdir := newWorkspace(t)
	for i := range 4 {
		commit(t, ws, Meta{RunID: fmt.Sprintf("run%d", i)})
	}
	ok(t, ws.Link(context.Background(), "step", "run0"))
	var others []*exec.Cmd
	for n := range 16 {
		cmd := other(ws, workdir, "link", fmt.Sprintf("N=%d", n))
		ok(t, cmd.Start())
		others = append(others, cmd)
	}
	done := make(chan error)
	go func() {
		var failed error
		for _, cmd := range others {
			failed = errors.Join(failed, cmd.Wait())
		}
		done <- failed
	}()
	for reads := 0; ; reads++ {
		select {
		case err := <-done:
			ok(t, err)
			if reads == 0 {
				t.Error("nothing was read meanwhile")
			}
			agree(t, ws)
			if got := len(stateSteps(t, ws)); got != 17 {
				t.Errorf("%d steps, want 17", got)
			}
			return
		default:
			if _, err := os.Stat(ws.path(linksDir, "step", "artifacts", "f")); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestDamagedLinksAreTold(t *testing.T) {
	ws, _ := newWorkspace(t)
	commit(t, ws, Meta{RunID: "run"})
	ok(t, ws.Link(context.Background(), "good", "run"))
	for i, target := range []string{"/etc", "../../elsewhere", "../runs/..", "../runs/a/b", "run"} {
		ok(t, os.Symlink(target, ws.path(linksDir, fmt.Sprintf("bad%d", i))))
		if id, err := ws.Linked(fmt.Sprintf("bad%d", i)); err == nil {
			t.Errorf("%s is taken for run %q", target, id)
		}
	}
	links, err := ws.Links()
	if len(links) != 1 || links[0] != (Link{"good", "run"}) || err == nil {
		t.Errorf("%v, %v", links, err)
	}
	if _, err := ws.Prune(context.Background(), PruneOptions{}, func(id string) { t.Errorf("pruned %s", id) }); err == nil {
		t.Error("pruned with links that cannot be read")
	}
	ok(t, ws.Link(context.Background(), "bad0", "run"))
	if id, err := ws.Linked("bad0"); id != "run" {
		t.Errorf("%q, %v", id, err)
	}
}

func TestStateThatIsMissingIsMadeFromLinks(t *testing.T) {
	ws, _ := newWorkspace(t)
	commit(t, ws, Meta{RunID: "one"})
	commit(t, ws, Meta{RunID: "two"})
	ok(t, ws.Link(context.Background(), "a", "one"))
	ok(t, os.Remove(ws.path("state.json")))
	ok(t, ws.Link(context.Background(), "b", "two"))
	agree(t, ws)
}

func TestStateKeepsWhatOthersWrote(t *testing.T) {
	ws, _ := newWorkspace(t)
	commit(t, ws, Meta{RunID: "run"})
	ok(t, os.WriteFile(ws.path("state.json"), []byte(`{"version": 7, "steps": {"__proto__": {"runId": "x"}}}`), 0o644))
	ok(t, ws.Link(context.Background(), "step", "run"))
	data, err := os.ReadFile(ws.path("state.json"))
	ok(t, err)
	var state map[string]any
	ok(t, json.Unmarshal(data, &state))
	if steps := stateSteps(t, ws); state["version"] != 7.0 || steps["__proto__"] != "x" || steps["step"] != "run" {
		t.Errorf("%s", data)
	}
}

// A damaged state.json is an error, and nothing is removed because of it.
func TestDamagedState(t *testing.T) {
	for name, damage := range map[string]func(string) error{
		"empty":      func(path string) error { return os.WriteFile(path, nil, 0o644) },
		"cut short":  func(path string) error { return os.WriteFile(path, []byte(`{"steps": {"a": {"run`), 0o644) },
		"null":       func(path string) error { return os.WriteFile(path, []byte(`null`), 0o644) },
		"a list":     func(path string) error { return os.WriteFile(path, []byte(`[]`), 0o644) },
		"steps list": func(path string) error { return os.WriteFile(path, []byte(`{"steps": []}`), 0o644) },
		"step text":  func(path string) error { return os.WriteFile(path, []byte(`{"steps": {"a": "run"}}`), 0o644) },
		"directory":  func(path string) error { return os.Mkdir(path, 0o755) },
		"dangling":   func(path string) error { return os.Symlink("nowhere/else", path) },
	} {
		t.Run(name, func(t *testing.T) {
			ws, _ := newWorkspace(t)
			commit(t, ws, Meta{RunID: "run"})
			commit(t, ws, Meta{RunID: "spare"})
			ok(t, ws.Link(context.Background(), "a", "run"))
			ok(t, os.Remove(ws.path("state.json")))
			ok(t, damage(ws.path("state.json")))
			err := ws.Link(context.Background(), "b", "run")
			if name == "dangling" { // as if it were missing
				ok(t, err)
				agree(t, ws)
				return
			}
			if err == nil {
				t.Error("linked anyway")
			}
			if _, err := ws.Prune(context.Background(), PruneOptions{}, func(id string) { t.Errorf("pruned %s", id) }); err == nil {
				t.Error("pruned anyway")
			}
			ok(t, os.Rename(ws.path("state.json"), filepath.Join(t.TempDir(), "away")))
			ok(t, ws.Link(context.Background(), "b", "run"))
			agree(t, ws)
		})
	}
}

// Any content of state.json is either read or refused as damaged. What is read is
// written back unchanged.
func FuzzState(f *testing.F) {
	for _, text := range []string{
		``, `null`, `{}`, `{"steps":null}`, `{"steps":{"a":{"runId":"1-2","fingerprint":"f"}}}`, `{"steps":{"a":7}}`,
		`{"x":[1,{"y":null}],"steps":{}}`, `{"steps":{"a":{}}} x`, "\xff", `{"steps":{"../a":{"runId":"../b"}}}`,
	} {
		f.Add([]byte(text))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		ws, err := Create(dir, name.NewID())
		ok(t, err)
		defer os.RemoveAll(ws.Root)
		ok(t, os.WriteFile(ws.path("state.json"), data, 0o644))
		s, err := ws.readState()
		if err != nil {
			return
		}
		write := func() {
			again, err := ws.readState()
			ok(t, err)
			if before, after := fmt.Sprint(s.steps), fmt.Sprint(again.steps); before != after {
				t.Errorf("%s became %s", before, after)
			}
		}
		change := func(step string, entry *stepState) {
			if delete(s.steps, step); entry != nil {
				s.steps[step] = *entry
			}
			d, err := ws.draftState(step, entry)
			ok(t, err)
			ok(t, d.publish())
			write()
		}
		change("a", &stepState{"1-2", "f"})
		ok(t, ws.writeState(s))
		write()
		for _, step := range []string{"b", "c", "d", "a", "a", "c"} {
			change(step, &stepState{"1-3", "f"})
		}
		change("d", &stepState{"1-3", "\"<"})
		for _, step := range []string{"c", "none", "a", "b", "d"} {
			change(step, nil)
		}
	})
}

// A link changes its own entry in state.json and leaves all others as they are, whether it is
// the first, the last or the only one; a file of another form, too.
func TestLinkLeavesOtherEntries(t *testing.T) {
	ws, _ := newWorkspace(t)
	for _, id := range []string{"one", "two"} {
		commit(t, ws, Meta{RunID: id, Fingerprint: "f" + id})
	}
	path := ws.path("state.json")
	for _, c := range []struct{ before, step, after string }{
		{``, "a", `{"a": one}`},
		{`{"a": one}`, "a", `{"a": two}`},
		{`{"a": two}`, "b", `{"a": two, "b": one}`},
		{`{"a": two, "b": one}`, "a", `{"b": one, "a": one}`},
		{`{"b": one, "a": one, "c": two}`, "a", `{"b": one, "c": two, "a": two}`},
		{`{"b": one, "c": two, "a": two}`, "a", `{"b": one, "c": two, "a": one}`},
	} {
		write := func(steps string) string {
			for _, id := range []string{"one", "two"} {
				steps = strings.ReplaceAll(steps, id, fmt.Sprintf("{\n      \"runId\": %q,\n      \"fingerprint\": \"f%s\"\n    }", id, id))
			}
			return "{\n  \"steps\": " + strings.NewReplacer(`{"`, "{\n    \"", "}, ", "},\n    ", "}}", "}\n  }").Replace(steps) + "\n}\n"
		}
		os.Remove(path)
		if c.before != "" {
			ok(t, os.WriteFile(path, []byte(write(c.before)), 0o666))
		}
		id := "one"
		if now, _ := ws.Linked(c.step); now == "one" {
			id = "two"
		}
		ok(t, ws.Link(t.Context(), c.step, id))
		data, err := os.ReadFile(path)
		ok(t, err)
		if want := write(c.after); string(data) != want {
			t.Errorf("%s, %s: %s\nwant %s", c.before, c.step, data, want)
		}
	}
}
