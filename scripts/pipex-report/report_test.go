package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/net/html"

	"pipex/lib/cli"
	"pipex/lib/step"
	"pipex/lib/workspace"
)

// hostile would be markup, attributes, a script or an escape sequence if it were not escaped.
const hostile = "</script></style></pre><img src=x onerror=alert(1)>\"'`{{.}}<!--\x1b[31m\x00\xff\u202e&lt;"

// fixture is a workspace whose files a test writes.
type fixture struct {
	*testing.T
	ws *workspace.Workspace
}

func newFixture(t *testing.T) fixture {
	ws, err := workspace.Create(t.TempDir(), "w")
	if err != nil {
		t.Fatal(err)
	}
	return fixture{t, ws}
}

func (f fixture) write(path, content string) {
	f.Helper()
	path = filepath.Join(f.ws.Root, path)
	err := os.MkdirAll(filepath.Dir(path), 0o777)
	if err == nil {
		err = os.WriteFile(path, []byte(content), 0o666)
	}
	if err != nil {
		f.Fatal(err)
	}
}

// run writes the record of a run; of a committed one the step is linked to it.
func (f fixture) run(m *workspace.Meta, committed bool) string {
	f.Helper()
	dir := "staging/" + m.RunID
	if committed {
		dir = "runs/" + m.RunID
		link := filepath.Join(f.ws.Root, "step-runs", m.StepID)
		os.Remove(link)
		if err := os.Symlink("../runs/"+m.RunID, link); err != nil {
			f.Fatal(err)
		}
	}
	data, err := json.Marshal(m)
	if err != nil {
		f.Fatal(err)
	}
	f.write(dir+"/meta.json", string(data))
	f.write(dir+"/artifacts/f", "x")
	return dir
}

func id(n int) string { return fmt.Sprintf("%d-%08x", 1_700_000_000_000+int64(n)*1000, n) }

// meta returns the record of a run that used everything that a report shows.
func meta(n int, name string) *workspace.Meta {
	at := func(s int) *workspace.Time { return &workspace.Time{Time: time.Unix(1_700_000_000+int64(s), 0)} }
	zero := 0
	m := &workspace.Meta{
		RunID: id(n), Status: workspace.Success, ExitCode: &zero, StartedAt: at(n), FinishedAt: at(n + 2), DurationMs: 2000, Fingerprint: fmt.Sprint("f", n),
		Usage: &workspace.Usage{PeakMemoryBytes: 96 << 20, CPUMs: 3000}, Version: "1",
	}
	m.StepID, m.Image, m.Cmd = name, "busybox", []string{"sh", "-c", "echo hello world"}
	m.TimeoutMs, m.Limits = 4000, &step.PinnedLimits{MemoryBytes: 128 << 20, CPUs: 2}
	return m
}

// report returns the page of the workspace, checked and parsed.
func (f fixture) report(title string) (string, *html.Node) {
	f.Helper()
	ctx := context.Background()
	rows, nodes, bad, err := read(ctx, f.ws, nil)
	if err != nil || bad != nil {
		f.Fatal(err, bad)
	}
	p, err := newPage(ctx, f.ws, rows, nodes)
	if err != nil {
		f.Fatal(err)
	}
	p.Title, p.Titled, p.Whole = cli.Short(title, 300), true, true
	var b bytes.Buffer
	if err := p.write(&b); err != nil {
		f.Fatal(err)
	}
	page := b.String()
	check(f.T, page)
	doc, err := html.Parse(&b)
	if err != nil {
		f.Fatal(err)
	}
	return page, doc
}

// check fails unless each element is closed where it must be, ids are unique, each link leads to one of
// them, headings skip no level, and nothing comes from elsewhere: no reference but to the page
// itself, no handler of events, and of scripts and styles only those whose hash the page's policy
// has.
func check(t *testing.T, page string) {
	t.Helper()
	var open []string
	var policy string
	ids, links := map[string]int{}, map[string]bool{}
	level := 0
	for z := html.NewTokenizer(strings.NewReader(page)); ; {
		kind := z.Next()
		if kind == html.ErrorToken {
			break
		}
		token := z.Token()
		switch kind {
		case html.EndTagToken:
			if len(open) == 0 || open[len(open)-1] != token.Data {
				t.Fatalf("</%s> ends %v", token.Data, open)
			}
			open = open[:len(open)-1]
		case html.TextToken:
			if in := open[max(len(open)-1, 0):]; slices.Contains([]string{"script", "style"}, strings.Join(in, "")) {
				sum := sha256.Sum256([]byte(token.Data))
				if !strings.Contains(policy, "sha256-"+base64.StdEncoding.EncodeToString(sum[:])) {
					t.Errorf("the policy does not allow the page's own %s", in)
				}
				for _, word := range []string{"://", "@import", "url(", "fetch(", "import("} {
					if strings.Contains(token.Data, word) {
						t.Errorf("%s has %s", in, word)
					}
				}
			}
		case html.StartTagToken:
			if !slices.Contains([]string{"meta", "input"}, token.Data) { // those are void
				open = append(open, token.Data)
			}
			if n := token.Data; len(n) == 2 && n[0] == 'h' && '1' <= n[1] && n[1] <= '6' {
				if now := int(n[1] - '0'); now > level+1 {
					t.Errorf("%s after h%d", n, level)
				} else {
					level = now
				}
			}
			for _, a := range token.Attr {
				switch {
				case a.Key == "id":
					ids[a.Val]++
				case a.Key == "href" && strings.HasPrefix(a.Val, "#"):
					links[a.Val[1:]] = true
				case slices.Contains([]string{"href", "src", "srcset", "action", "style", "data", "background"}, a.Key), strings.HasPrefix(a.Key, "on"), strings.Contains(a.Val, "://"):
					t.Errorf("<%s %s=%q>", token.Data, a.Key, a.Val)
				case a.Key == "content" && strings.HasPrefix(a.Val, "default-src 'none'"):
					policy = a.Val
				}
			}
		}
	}
	if len(open) > 0 {
		t.Errorf("not closed: %v", open)
	}
	if policy == "" {
		t.Error("no policy")
	}
	for id, n := range ids {
		if n > 1 {
			t.Errorf("%d elements have id %q", n, id)
		}
	}
	for to := range links {
		if ids[to] == 0 {
			t.Errorf("a link leads to #%s, which is not there", to)
		}
	}
}

// all returns the elements of that name.
func all(n *html.Node, name string) (list []*html.Node) {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && d.Data == name {
			list = append(list, d)
		}
	}
	return list
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// What a step, another tool or a caller has written is shown as text, wherever it stands.
func TestReportOfHostileRun(t *testing.T) {
	f := newFixture(t)
	one := 1
	m := meta(1, "a")
	m.StepName, m.Image, m.Cmd, m.Reason, m.ExitCode, m.Status = hostile, hostile, []string{hostile}, hostile, &one, workspace.Status(hostile)
	m.Env, m.User, m.Cwd, m.Network = map[string]string{hostile: hostile}, hostile, hostile, step.Network(hostile)
	m.Inputs = []step.PinnedInput{{Step: hostile, RunID: hostile, MountedAs: hostile, Digest: hostile}}
	m.Mounts = []step.PinnedMount{{HostPath: hostile, ContainerPath: hostile, Digest: hostile}}
	m.CacheMounts = []step.Cache{{Name: hostile, Path: hostile}}
	m.ChangedInputs = []workspace.ChangedInput{{Path: hostile, Change: hostile, Reason: hostile}}
	dir := f.run(m, false)
	f.write(dir+"/stdout.log", strings.Repeat(hostile+"\n", 9))
	f.write(dir+"/stderr.log", hostile)
	f.write(dir+"/artifacts/"+strings.NewReplacer("/", "", "\x00", "").Replace(hostile), "x")
	f.run(meta(2, "a"), false)
	page, doc := f.report(hostile)
	if n := len(all(doc, "img")); n > 0 {
		t.Errorf("%d images", n)
	}
	if n := len(all(doc, "script")); n != 1 {
		t.Errorf("%d scripts", n)
	}
	if shown := text(doc); strings.Count(shown, "<img src=x onerror=alert(1)>") < 15 {
		t.Errorf("it is not shown as text:\n%s", shown)
	}
	if strings.ContainsAny(page, "\x1b\x00\u202e") || !utf8.ValidString(page) {
		t.Error("control characters are in the page")
	}
}

// A row has what the run used and how much of its limits that is.
func TestReportOfLimits(t *testing.T) {
	f := newFixture(t)
	f.run(meta(1, "a"), true)
	_, doc := f.report("t")
	var got []string
	for _, m := range all(doc, "meter") {
		got = append(got, text(m.Parent)+" "+attr(m, "value"))
	}
	if want := []string{"2.0s of 4.0s 50", "96M of 128M 75", "3.0s of 2 CPUs 75"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// A run says how it differs from the one before it of the same step; the first one has none.
func TestReportOfWhy(t *testing.T) {
	f := newFixture(t)
	f.run(meta(1, "a"), true)
	m := meta(2, "a")
	m.Cmd = []string{"echo", "bye"}
	f.run(m, true)
	same := meta(3, "b")
	f.run(same, true)
	same.RunID = id(4)
	f.run(same, true)
	f.run(meta(5, "c"), true)
	_, doc := f.report("t")
	var got []string
	for _, dt := range all(doc, "dt") {
		if text(dt) == "Why it ran" {
			got = append(got, strings.TrimSpace(text(dt.NextSibling)))
		}
	}
	want := []string{
		"Since run " + id(1) + ":command: sh -c 'echo hello world' -> echo bye", "Nothing differs from run " + id(3) + ".", "There is no earlier run of the step.",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Both pictures are in the report, and each run in them leads to its details.
func TestReportOfPictures(t *testing.T) {
	f := newFixture(t)
	b := meta(2, "b")
	b.Inputs = []step.PinnedInput{{Step: "a", RunID: id(1)}}
	f.run(meta(1, "a"), true)
	f.run(b, true)
	_, doc := f.report("t")
	pictures := all(doc, "svg")
	if len(pictures) != 2 {
		t.Fatalf("%d pictures", len(pictures))
	}
	for _, picture := range pictures {
		var to []string
		for _, link := range all(picture, "a") {
			to = append(to, link.Attr[0].Val)
		}
		if slices.Sort(to); !slices.Equal(to, []string{"#r1", "#r2"}) {
			t.Errorf("links to %q", to)
		}
	}
}

// A workspace without runs has no pictures, and needs none.
func TestReportOfNothing(t *testing.T) {
	f := newFixture(t)
	page, doc := f.report("t")
	if len(all(doc, "svg")) > 0 || strings.Contains(page, "too many") || strings.Contains(page, "The last build") {
		t.Error(page)
	}
}

// A step whose input has other artifacts now is marked.
func TestReportOfStaleInput(t *testing.T) {
	f := newFixture(t)
	a, b := meta(1, "a"), meta(2, "b")
	a.Artifacts = &workspace.Artifacts{Digest: "sha256:new"}
	b.Inputs = []step.PinnedInput{{Step: "a", RunID: id(0), Digest: "sha256:old"}}
	f.run(a, true)
	f.run(b, true)
	page, _ := f.report("t")
	if strings.Count(page, "1 changed since") != 1 || strings.Count(page, "the step has other artifacts now") != 1 {
		t.Error("it is not marked")
	}
}

// A report of many runs stays small, whatever they have written; failed runs have more of it.
func TestReportOfManyRuns(t *testing.T) {
	f := newFixture(t)
	const runs = 1000
	for i := range runs {
		m := meta(i, fmt.Sprint("step", i))
		for j := range 20 {
			m.Inputs = append(m.Inputs, step.PinnedInput{Step: fmt.Sprint("step", (i+j)%runs), RunID: id((i + j) % runs), MountedAs: "/input/x", Digest: "sha256:" + strings.Repeat("0", 64)})
		}
		if i == 500 {
			m.Status = workspace.Failure
		}
		dir := f.run(m, true)
		f.write(dir+"/stdout.log", strings.Repeat(fmt.Sprintf("step %d has done a part of its work\n", i), 100))
	}
	page, doc := f.report("t")
	if size := len(page); size > 3<<20 {
		t.Errorf("%d bytes, are to be %d at most", size, 3<<20)
	}
	// The graph of 20,000 inputs is left out, and that is said.
	if n := len(all(doc, "svg")); n != 1 || strings.Count(page, "too many runs for a picture of what was made from what") != 1 {
		t.Errorf("%d pictures", n)
	}
	if n := len(all(doc, "details")); n != runs {
		t.Errorf("%d details of %d runs", n, runs)
	}
	if few, more := strings.Count(page, "step 3 has done"), strings.Count(page, "step 500 has done"); few < 3 || more <= few || more > 20 {
		t.Errorf("%d lines of a success, %d of a failure", few, more)
	}
}

// Runs without a record, and links without a run, are shown as such.
func TestReportOfDamage(t *testing.T) {
	f := newFixture(t)
	f.run(meta(1, "gone"), true)
	os.RemoveAll(filepath.Join(f.ws.Root, "runs"))
	f.write("staging/"+id(2)+"/meta.json", "{")
	f.write("staging/"+id(3)+"/x", "")
	_, doc := f.report("t")
	var got []string
	for _, tr := range all(all(doc, "tbody")[0], "tr") {
		got = append(got, strings.Join(strings.Fields(text(tr)), " "))
	}
	for i, want := range []string{"gone✗ missing", id(2) + "✗ unreadable damaged meta.json", id(3) + "✗ unreadable no meta.json"} {
		if !strings.HasPrefix(got[i], want) {
			t.Errorf("%q, want %q", got[i], want)
		}
	}
}

func TestShown(t *testing.T) {
	for in, want := range map[string]string{
		"plain\ttext\n":                          "plain\ttext\n",
		"\x1b[1;31mred\x1b[0m":                   "red",
		"\x1b]0;title\x07a\x1b]8;;x\x1b\\b":      "ab",
		"\x1b(Bx\x1b=y\x1bM":                     "xy",
		"10%\r20%\r100%\r\ndone\r":               "100%\ndone",
		"a\xffb\x00c\u202ed\u0085":               "a?b?c?d?",
		"\x1b[":                                  "",
		"\x1b":                                   "",
		"\x1b]never ends\nnext":                  "\nnext",
		"\x1b[31":                                "",
		"one\n\x1b[2K\rtwo":                      "one\ntwo",
		"\x1bP" + strings.Repeat("x", 99) + "\n": "\n",
	} {
		if got := shown([]byte(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// The end of a log is whole lines, and bounded; what is no regular file is not opened for long.
func TestReadTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stdout.log")
	l := limit{lines: 3, bytes: 20}
	for in, want := range map[string]tail{
		"":                             {},
		"a\nb\n":                       {Text: "a\nb"},
		"1\n2\n3\n4\n":                 {Text: "2\n3\n4", Of: "8B"},
		"abcdefghijklmnopqrstuvwxyz\n": {Text: "ghijklmnopqrstuvwxyz", Of: "27B"},
		strings.Repeat("é", 99):        {Text: strings.Repeat("é", 10), Of: "198B"},
		"long long long line\nlast\n":  {Text: "last", Of: "25B"},
	} {
		if err := os.WriteFile(path, []byte(in), 0o666); err != nil {
			t.Fatal(err)
		}
		want.Name = "stdout.log"
		if got := readTail(path, l); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	os.Remove(path)
	if err := os.Symlink("/etc/passwd", path); err != nil {
		t.Fatal(err)
	}
	if got := readTail(path, l); got.Text != "" {
		t.Errorf("followed a link: %q", got)
	}
}

// The page's script is one that can be parsed: no test runs it.
func TestScript(t *testing.T) {
	out, err := exec.Command("node", "--check", "page.js").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
