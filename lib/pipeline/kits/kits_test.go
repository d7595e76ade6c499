package kits

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// eval evaluates a kit of that source, by a new node.
func eval(t *testing.T, r *Runner, source string) (Answer, error) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "kit.mjs")
	if err := os.WriteFile(file, []byte(source), 0o666); err != nil {
		t.Fatal(err)
	}
	r.Dir = dir
	defer r.Close()
	return r.Eval(Kit{Name: "k", File: file}, []byte(`{}`))
}

// A kit that does not answer ends, and so does what it has left running.
func TestEvalIsBounded(t *testing.T) {
	defer func(d time.Duration) { limit = d }(limit)
	limit = 2 * time.Second
	for source, want := range map[string]string{
		"export default () => { for (;;); }":         "it has no answer after 2s",
		"export default () => new Promise(() => {})": "node ended without an answer",
		"for (;;);": "it has no answer after 2s",
		"export default () => 'x'.repeat(2 << 20)":                                              "its answer has more than 1 MiB",
		"process.kill(process.pid, 'SIGKILL'); for (;;);":                                       "node ended without an answer",
		"import fs from 'node:fs'; export default () => { fs.writeSync(3, 'x\\n'); for (;;); }": "its answer is not JSON",
	} {
		began := time.Now()
		if _, err := eval(t, new(Runner), source); err == nil || !strings.Contains(err.Error(), want) || time.Since(began) > 8*time.Second {
			t.Errorf("%s: %v, after %s", source, err, time.Since(began))
		}
	}
	var printed bytes.Buffer
	began := time.Now()
	_, err := eval(t, &Runner{Output: &printed}, `import {spawn} from 'node:child_process'
export default () => { spawn('sleep', ['9'], {stdio: 'inherit', detached: true}).unref(); return {} }`)
	if err != nil || time.Since(began) > 8*time.Second {
		t.Errorf("%v, after %s", err, time.Since(began))
	}
}

// After an error the next kit has a new process; without one it has the same.
func TestEvalAgain(t *testing.T) {
	r := new(Runner)
	if _, err := eval(t, r, "export default () => process.exit(1)"); err == nil {
		t.Error("no error")
	}
	a, err := eval(t, r, "export default () => ({é: [1, null]})")
	if err != nil || string(a.Output) != `{"é":[1,null]}` || a.Dir != r.Dir {
		t.Errorf("%s, %v", a.Output, err)
	}
}

func TestEvalWithoutNode(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := eval(t, new(Runner), "export default () => ({})"); !errors.Is(err, ErrNoNode) {
		t.Error(err)
	}
}
