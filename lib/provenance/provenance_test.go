package provenance

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pipex/lib/status"
	"pipex/lib/step"
	"pipex/lib/workspace"
)

type fixture struct {
	*testing.T
	ws *workspace.Workspace
}

func newFixture(t *testing.T) fixture {
	ws, err := workspace.Create(t.TempDir(), "ws")
	if err != nil {
		t.Fatal(err)
	}
	return fixture{t, ws}
}

// run writes the record of a committed run that began at second at. An input is STEP=RUN.
func (f fixture) run(id, stepID string, at int64, inputs ...string) workspace.Run {
	m := &workspace.Meta{RunID: id, Status: workspace.Success, Artifacts: &workspace.Artifacts{Digest: "digest of " + id}}
	m.StepID, m.PreparedAt = stepID, workspace.Time{Time: time.Unix(at, 0)}
	m.StartedAt, m.FinishedAt = &workspace.Time{Time: time.Unix(at, 0)}, &workspace.Time{Time: time.Unix(at+1, 0)}
	for _, in := range inputs {
		s, r, _ := strings.Cut(in, "=")
		m.Inputs = append(m.Inputs, step.PinnedInput{Step: s, RunID: r, Digest: "digest of " + r})
	}
	return f.record("runs", m)
}

func (f fixture) record(dir string, m *workspace.Meta) workspace.Run {
	f.Helper()
	data, err := json.Marshal(m)
	if err != nil {
		f.Fatal(err)
	}
	f.write(filepath.Join(f.ws.Root, dir, m.RunID, "meta.json"), data)
	r, err := f.ws.Run(m.RunID)
	if err != nil {
		f.Fatal(err)
	}
	return r
}

func (f fixture) write(path string, data []byte) {
	f.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o777)
	if err == nil {
		err = os.WriteFile(path, data, 0o666)
	}
	if err != nil {
		f.Fatal(err)
	}
}

func (f fixture) link(stepID, id string) {
	f.Helper()
	dir := filepath.Join(f.ws.Root, "step-runs")
	os.MkdirAll(dir, 0o777)
	if err := os.Symlink("../runs/"+id, filepath.Join(dir, stepID)); err != nil {
		f.Fatal(err)
	}
}

// text writes a node as RUN(INPUT,...), and what is remarkable about it.
func text(n *Node) string {
	var ids []string
	for _, in := range n.Inputs {
		ids = append(ids, in.ID)
	}
	s := n.ID
	if len(ids) > 0 {
		s += "(" + strings.Join(ids, ",") + ")"
	}
	if n.Status != workspace.Success {
		s += ":" + string(n.Status)
	}
	if len(n.Stale) > 0 {
		s += "!" + strings.Join(n.Stale, "!")
	}
	return s
}

func (f fixture) expect(nodes []*Node, want string) {
	f.Helper()
	var got []string
	for _, n := range nodes {
		got = append(got, text(n))
	}
	if strings.Join(got, " ") != want {
		f.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
	}
}

func (f fixture) all() []*Node {
	f.Helper()
	nodes, err := Workspace(context.Background(), f.ws)
	if err != nil {
		f.Fatal(err)
	}
	return nodes
}

// What a step was made from is known through all the runs before it; missing and damaged
// ones are part of it, and so is a run whose id is no name.
func TestOf(t *testing.T) {
	f := newFixture(t)
	f.run("a1", "a", 1)
	f.run("b1", "b", 2, "a=a1", "gone=gone1", "evil=../../evil")
	c := f.run("c1", "c", 3, "a=a1", "b=b1", "a=a1", "damaged=d1")
	f.write(filepath.Join(f.ws.Root, "runs/d1/meta.json"), []byte("{"))
	f.run("other", "other", 4)
	nodes, err := Of(context.Background(), f.ws, c)
	if err != nil {
		t.Fatal(err)
	}
	f.expect(nodes, "../../evil:missing d1:unreadable gone1:missing a1 b1(a1,gone1,../../evil) c1(a1,b1,d1)")
	if n := nodes[2]; n.Step != "gone" || !n.Missing || n.Committed || n.Open() || n.Meta != nil {
		t.Errorf("%+v", n)
	}
	if n := nodes[1]; n.Step != "damaged" || n.Missing || !n.Committed || n.Meta != nil {
		t.Errorf("%+v", n)
	}
}

// A workspace has its links and its open runs, and what is before them.
func TestWorkspace(t *testing.T) {
	f := newFixture(t)
	f.run("a1", "a", 1)
	f.run("b1", "b", 2, "a=a1")
	f.run("unnamed", "c", 3, "b=b1")
	f.link("b", "b1")
	f.link("alias", "b1")
	f.link("lost", "lost1")
	m := &workspace.Meta{RunID: "open1", Status: workspace.Running}
	m.Inputs = []step.PinnedInput{{Step: "b", RunID: "b1", Digest: "digest of b1"}}
	m.PreparedAt = workspace.Time{Time: time.Unix(9, 0)}
	f.record("staging", m)
	nodes := f.all()
	f.expect(nodes, "lost1:missing a1 b1(a1) open1(b1):interrupted")
	if lost, b := nodes[0], nodes[2]; lost.Step != "lost" || strings.Join(b.Linked, " ") != "alias b" || !nodes[3].Open() {
		t.Errorf("%+v, %+v", lost, b)
	}
	if lost := nodes[0]; lost.Status != status.Missing || len(lost.Linked) != 1 {
		t.Errorf("%+v", lost)
	}
	f.write(filepath.Join(f.ws.Root, "step-runs/x"), nil)
	os.Remove(filepath.Join(f.ws.Root, "step-runs/x"))
	os.Symlink("/etc", filepath.Join(f.ws.Root, "step-runs/x"))
	if nodes, err := Workspace(context.Background(), f.ws); err == nil || len(nodes) != 4 {
		t.Errorf("%v, %v", nodes, err)
	}
}

// A run is stale when the step of an input is linked to other artifacts, not when it is
// linked to another run that has the same.
func TestStale(t *testing.T) {
	f := newFixture(t)
	f.run("a1", "a", 1)
	f.run("a2", "a", 4)
	f.run("s1", "s", 1)
	f.record("runs", func() *workspace.Meta {
		m := &workspace.Meta{RunID: "s2", Status: workspace.Success, Artifacts: &workspace.Artifacts{Digest: "digest of s1"}}
		m.PreparedAt = workspace.Time{Time: time.Unix(5, 0)}
		return m
	}())
	f.run("b1", "b", 2, "a=a1", "s=s1")
	f.run("c1", "c", 3, "b=b1", "s=s1")
	f.run("old", "b", 2, "a=a1")
	f.run("d1", "d", 6, "old=old")
	for _, l := range []string{"a2", "s2", "b1", "c1", "d1"} {
		f.link(l[:1], l)
	}
	f.expect(f.all(), "a1 s1 b1(a1,s1)!a old(a1) c1(b1,s1) a2 s2 d1(old)")
}

// Circles, which only altered records can form, end.
func TestCircle(t *testing.T) {
	f := newFixture(t)
	f.run("a", "a", 1, "b=b")
	f.run("b", "b", 2, "c=c", "b=b")
	f.run("c", "c", 3, "a=a")
	f.link("a", "a")
	f.expect(f.all(), "c b(c) a(b)")
}

// A long chain and many inputs are read once each, and neither recursion nor time grows
// with them beyond what sorting takes.
func TestLarge(t *testing.T) {
	f := newFixture(t)
	const n = 2000
	var all []string
	f.run("r0", "r0", 0)
	for i := 1; i < n; i++ {
		f.run(fmt.Sprintf("r%d", i), fmt.Sprintf("r%d", i), int64(i), fmt.Sprintf("r%d=r%d", i-1, i-1))
		all = append(all, fmt.Sprintf("r%d=r%d", i, i))
	}
	last := f.run("last", "last", n, all...)
	nodes, err := Of(context.Background(), f.ws, last)
	if err != nil || len(nodes) != n+1 || nodes[n].ID != "last" || len(nodes[n].Inputs) != n-1 || nodes[1].ID != "r1" {
		t.Errorf("%d nodes, %v", len(nodes), err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Of(ctx, f.ws, last); err == nil {
		t.Error("not canceled")
	}
}

// The last build goes back to the last pause; what is only an input is not of it.
func TestLastBuild(t *testing.T) {
	f := newFixture(t)
	f.run("a1", "a", 0)
	f.run("b1", "b", 500, "a=a1")
	f.run("input", "i", 501)
	f.run("c1", "c", 500+int64(Pause/time.Second), "b=b1", "i=input")
	for _, l := range []string{"a1", "b1", "c1"} {
		f.link(l[:1], l)
	}
	f.expect(LastBuild(f.all(), time.Unix(1000, 0)), "b1(a1) c1(b1,input)")
	f.expect(LastBuild(nil, time.Unix(1000, 0)), "")
}
