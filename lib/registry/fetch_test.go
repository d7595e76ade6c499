package registry

import (
	"archive/tar"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pipex/lib/step"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// listed is the list of a directory with a file, a directory and a link.
func listed(t *testing.T) *tree.Tree {
	t.Helper()
	dir := t.TempDir()
	ok(t, os.Mkdir(filepath.Join(dir, "d"), 0o755))
	ok(t, os.WriteFile(filepath.Join(dir, "d", "f"), []byte("hi"), 0o644))
	ok(t, os.Symlink("/etc/passwd", filepath.Join(dir, "link")))
	list, err := tree.Scan(context.Background(), dir)
	ok(t, err)
	return list
}

// TestUnpackRefuses gives archives that no push has written, which must write nothing outside the artifacts.
func TestUnpackRefuses(t *testing.T) {
	dir := func(name string) *tar.Header { return &tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755} }
	file := func(name string, size int64) *tar.Header {
		return &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: size}
	}
	link := func(name, to string) *tar.Header {
		return &tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to, Mode: 0o777}
	}
	right := []*tar.Header{dir("./"), dir("d/"), file("d/f", 2), link("link", "x")}
	for name, headers := range map[string][]*tar.Header{
		"right":         right,
		"nothing":       nil,
		"too few":       right[:3],
		"too many":      append(right[:4:4], file("more", 0)),
		"twice":         {right[0], right[1], right[2], right[2]},
		"outside":       {right[0], dir("../d/"), right[2], right[3]},
		"absolute":      {right[0], right[1], file("/d/f", 2), right[3]},
		"another size":  {right[0], right[1], file("d/f", 1<<40), right[3]},
		"a device":      {right[0], right[1], {Name: "d/f", Typeflag: tar.TypeBlock}, right[3]},
		"a hard link":   {right[0], right[1], {Name: "d/f", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}, right[3]},
		"a link for it": {right[0], link("d", "/tmp"), right[2], right[3]},
		"no directory":  {right[0], file("d", 0), right[2], right[3]},
	} {
		var data bytes.Buffer
		w := tar.NewWriter(&data)
		for _, h := range headers {
			ok(t, w.WriteHeader(h))
			if h.Size == 2 {
				w.Write([]byte("hi"))
			} else if h.Size > 0 {
				break // the rest is missing
			}
		}
		w.Close()
		run := workspace.Run{ID: "r", Dir: t.TempDir()}
		ok(t, os.Mkdir(run.Artifacts(), 0o755))
		err := unpack(run, listed(t), &data)
		if (err == nil) != (name == "right") {
			t.Errorf("%s: %v", name, err)
		}
		if name == "right" { // the target is that of the list
			if to, err := os.Readlink(filepath.Join(run.Artifacts(), "link")); err != nil || to != "/etc/passwd" {
				t.Error(to, err)
			}
		}
	}
}

// A list may be hostile as well: through a link of its own it leads nowhere else.
func TestUnpackThroughALink(t *testing.T) {
	outside := t.TempDir()
	var list strings.Builder
	ok(t, (&tree.Tree{Entries: []tree.Entry{
		{Path: ".", Mode: os.ModeDir | 0o755}, {Path: "a", Mode: os.ModeSymlink | 0o777, Link: outside}, {Path: "a/f", Mode: 0o644, Size: 2},
	}}).WriteManifest(&list))
	hostile, err := tree.ReadManifest(strings.NewReader(list.String()))
	if err != nil {
		return // it is refused already
	}
	var data bytes.Buffer
	w := tar.NewWriter(&data)
	ok(t, w.WriteHeader(&tar.Header{Name: "./", Typeflag: tar.TypeDir}))
	ok(t, w.WriteHeader(&tar.Header{Name: "a", Typeflag: tar.TypeSymlink, Linkname: outside}))
	ok(t, w.WriteHeader(&tar.Header{Name: "a/f", Typeflag: tar.TypeReg, Size: 2}))
	w.Write([]byte("hi"))
	w.Close()
	run := workspace.Run{ID: "r", Dir: t.TempDir()}
	ok(t, os.Mkdir(run.Artifacts(), 0o755))
	if err := unpack(run, hostile, &data); err == nil {
		t.Error("it was unpacked")
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("%v was written outside", left)
	}
}

func TestCheck(t *testing.T) {
	record := func(change func(*workspace.Meta)) *workspace.Meta {
		m := &workspace.Meta{RunID: "1-a", Pinned: step.Pinned{StepID: "s"}, Status: workspace.Success, Artifacts: &workspace.Artifacts{}}
		m.Fingerprint = m.Pinned.Fingerprint()
		change(m)
		return m
	}
	if err := check(record(func(*workspace.Meta) {})); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*workspace.Meta){
		"a path as id":       func(m *workspace.Meta) { m.RunID = "../x" },
		"a path as step":     func(m *workspace.Meta) { m.StepID = "../x" },
		"a failure":          func(m *workspace.Meta) { m.Status = workspace.Failure },
		"no artifacts":       func(m *workspace.Meta) { m.Artifacts = nil },
		"a fingerprint":      func(m *workspace.Meta) { m.Fingerprint = strings.Repeat("0", 64) },
		"another command":    func(m *workspace.Meta) { m.Cmd = []string{"rm"} },
		"an empty id":        func(m *workspace.Meta) { m.RunID = "" },
		"an option as an id": func(m *workspace.Meta) { m.RunID = "-x" },
	} {
		if check(record(change)) == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
