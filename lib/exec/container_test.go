package exec

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pipex/lib/internal/oci"
	"pipex/lib/step"
	"pipex/lib/workspace"
)

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
