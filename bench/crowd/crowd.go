// Package crowd makes large workspaces in seconds, for tests and benchmarks. It writes what
// the verbs would have left, without running them.
package crowd

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"pipex/lib/step"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

// apart is the time from one run to the next. So that many runs of a day, as of a busy
// workspace, take some months.
const apart = time.Minute

// Fill adds runs committed runs of steps steps to the workspace, the last of which ended an
// hour ago, and links each step to its newest run. Run i is of the step that [Step] names
// for i modulo steps, and has one artifact, "n".
//
// The private directory of the workspace is left as it is, as if another tool had made the
// runs.
func Fill(ws *workspace.Workspace, runs, steps int) error {
	content, err := sample(ws.Root)
	if err != nil {
		return err
	}
	defer os.RemoveAll(content.dir)
	newest := time.Now().Add(-time.Hour)
	var group errgroup.Group
	group.SetLimit(2 * runtime.GOMAXPROCS(0))
	all := make([]*workspace.Meta, runs)
	for i := range all {
		all[i] = record(i, Step(i%steps), newest.Add(-time.Duration(runs-i)*apart), content)
		group.Go(func() error { return write(ws, all[i], content) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return link(ws, all[max(0, runs-steps):])
}

// Step is the name of the i-th step.
func Step(i int) string { return fmt.Sprintf("step-%05d", i) }

// artifacts are those of every run.
type artifacts struct {
	dir      string
	manifest []byte
	summary  workspace.Artifacts
}

func sample(dir string) (a artifacts, err error) {
	if a.dir, err = os.MkdirTemp(dir, ".sample-"); err != nil {
		return a, err
	}
	if err := fill(a.dir); err != nil {
		return a, err
	}
	content, err := tree.Scan(context.Background(), a.dir)
	if err != nil {
		return a, err
	}
	list := new(buffer)
	err = content.WriteManifest(list)
	a.manifest = *list
	a.summary = workspace.Artifacts{Digest: content.Digest(), Files: content.Files(), Bytes: content.Bytes()}
	return a, err
}

type buffer []byte

func (b *buffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

// fill writes the artifacts to a directory.
func fill(dir string) error {
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	path := filepath.Join(dir, "n")
	if err := os.WriteFile(path, []byte("1\n"), 0o444); err != nil {
		return err
	}
	return os.Chmod(path, 0o444)
}

func record(i int, name string, at time.Time, content artifacts) *workspace.Meta {
	prepared, ended := workspace.Time{Time: at}, workspace.Time{Time: at.Add(time.Second)}
	zero := 0
	m := &workspace.Meta{
		RunID:      fmt.Sprintf("%d-%08x", at.UnixMilli(), uint32(i*2654435761)),
		Pinned:     step.Pinned{StepID: name},
		PreparedAt: prepared, StartedAt: &prepared, FinishedAt: &ended, DurationMs: 1000, ExitCode: &zero,
		Status: workspace.Success, Artifacts: &content.summary, Version: "crowd", Host: "crowd",
	}
	m.Cmd, m.Cwd = []string{"sh", "-c", fmt.Sprintf("echo %d >/output/n", i)}, "/"
	m.Fingerprint = m.Pinned.Fingerprint()
	return m
}

func write(ws *workspace.Workspace, m *workspace.Meta, content artifacts) error {
	r := workspace.Run{ID: m.RunID, Dir: filepath.Join(ws.Root, "runs", m.RunID), Committed: true}
	if err := os.MkdirAll(r.Artifacts(), 0o777); err != nil {
		return err
	}
	if err := fill(r.Artifacts()); err != nil {
		return err
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	for path, data := range map[string][]byte{
		filepath.Join(r.Dir, "meta.json"): append(data, '\n'), r.Manifest(): content.manifest, r.Stdout(): nil, r.Stderr(): nil,
	} {
		if err := os.WriteFile(path, data, 0o666); err != nil {
			return err
		}
	}
	return nil
}

// link makes the links of runs, one of each step, and state.json, which says the same.
func link(ws *workspace.Workspace, runs []*workspace.Meta) error {
	type entry struct {
		RunID       string `json:"runId"`
		Fingerprint string `json:"fingerprint"`
	}
	steps := map[string]entry{}
	for _, m := range runs {
		path := filepath.Join(ws.Root, "step-runs", m.StepID)
		if err := os.Symlink(filepath.Join("..", "runs", m.RunID), path); err != nil {
			return err
		}
		steps[m.StepID] = entry{m.RunID, m.Fingerprint}
	}
	data, err := json.MarshalIndent(map[string]any{"steps": steps}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(ws.Root, "state.json"), append(data, '\n'), 0o666)
}
