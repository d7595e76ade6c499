package step

import (
	"bytes"
	"encoding/json"
	"errors"
	"path"
	"reflect"
	"strings"
	"testing"
	"time"

	"pipex/lib/workspace"
)

func TestCheckCompletes(t *testing.T) {
	s := Spec{Image: "i", Inputs: []Input{{Step: "a"}, {Step: "b", Copy: true}}}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	want := Spec{Image: "i", Pull: PullMissing, Network: NetworkNone, Output: "/output", Hostname: "pipex",
		Inputs: []Input{{Step: "a", Path: "/input/a"}, {Step: "b", Copy: true}}}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("%+v", s)
	}
}

func TestCheckAccepts(t *testing.T) {
	for _, s := range []Spec{
		{},
		{Step: "__proto__", Image: "i", Cmd: []string{"a", ""}},
		{Image: "i", Output: "/a", Mounts: []Mount{{"/", "/a/b"}, {"rel", "/procs"}}},
		{Image: "i", User: "1000:1000", Cwd: "/", Hostname: "a.b-c", Timeout: Duration(time.Second)},
		{Image: "i", Env: map[string]string{"constructor": "a\nb", "a.b-c": ""}},
	} {
		if err := s.Check(); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	for _, s := range []Spec{
		{Step: ".."}, {Step: "-a"}, {Step: "a/b"},
		{Cmd: []string{"a"}},
		{Image: "i", Cmd: []string{""}}, {Image: "i", Cmd: []string{"a\x00"}}, {Image: "i", Cmd: []string{"\xff"}},
		{Image: "i", Pull: "often"}, {Image: "i", Network: "cni:../x"}, {Image: "i", Timeout: -1},
		{User: "-x"}, {User: "a:"}, {User: "a b"}, {Hostname: "-a"}, {Hostname: "a_b"}, {Hostname: strings.Repeat("a", 64)},
		{Env: map[string]string{"": "x"}}, {Env: map[string]string{"a=b": "x"}}, {Env: map[string]string{"a": "\x00"}}, {Env: map[string]string{"a": "\xff"}},
		{Output: "output"}, {Output: "/"}, {Output: "/a/../b"}, {Output: "/a/"}, {Output: "//a"}, {Output: "/proc"}, {Output: "/sys/fs"}, {Output: "/dev/shm"}, {Output: "/a\x00"},
		{Cwd: "x"}, {Cwd: "/x/.."},
		{Inputs: []Input{{Step: "../a"}}}, {Inputs: []Input{{Step: "a", Run: "../r"}}}, {Inputs: []Input{{Step: "a"}, {Step: "a"}}},
		{Inputs: []Input{{Step: "a", Path: "/output"}}}, {Mounts: []Mount{{"/h", "/output"}}}, {Mounts: []Mount{{"", "/c"}}}, {Mounts: []Mount{{"/a\x00", "/c"}}},
		{Mounts: []Mount{{"/h", "/c"}}, Caches: []Cache{{Name: "c", Path: "/c"}}},
		{Caches: []Cache{{Name: "..", Path: "/c"}}}, {Caches: []Cache{{Name: "c", Path: "/c", ReadOnly: true, Exclusive: true}}},
	} {
		var usage *UsageError
		var name *workspace.NameError
		if err := s.Check(); !errors.As(err, &usage) && !errors.As(err, &name) {
			t.Errorf("%+v: %v", s, err)
		} else if strings.ContainsAny(err.Error(), "\n\x00") {
			t.Errorf("%+v: the error is not one line of text: %q", s, err)
		}
	}
}

func TestReadSpec(t *testing.T) {
	s, err := ReadSpec(strings.NewReader(`{"step":"a","image":"i","cmd":["x"],"timeout":"1h30m","mounts":[{"host":"/a:b","path":"/c"}]}`))
	if err != nil || s.Timeout != Duration(90*time.Minute) || s.Mounts[0].Host != "/a:b" {
		t.Errorf("%+v, %v", s, err)
	}
	for _, text := range []string{
		"", "null null", "[]", "{", `{"step":"a"} {}`, `{"steps":"a"}`, `{"memory":1}`, `{"colour":"red"}`, `{"mounts":[{"host":"/a","path":"/b","rw":true}]}`,
		`{"timeout":5}`, `{"timeout":"soon"}`, `{"cmd":"sh -c true"}`, `{"env":{"A":1}}`,
	} {
		var usage *UsageError
		if _, err := ReadSpec(strings.NewReader(text)); !errors.As(err, &usage) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// checked makes sure of what follows from a spec that passes its check: it
// passes again as it is, means the same after JSON, and its paths are clean and
// its own.
func checked(t *testing.T, s *Spec) {
	if err := s.Check(); err != nil {
		if strings.ContainsAny(err.Error(), "\n\r\x00") {
			t.Errorf("the error is not one line of text: %q", err)
		}
		return
	}
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ReadSpec(bytes.NewReader(data))
	if err == nil {
		err = again.Check()
	}
	if err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	if twice, err := json.Marshal(again); err != nil || !bytes.Equal(twice, data) {
		t.Errorf("%s became %s, %v", data, twice, err)
	}
	seen := map[string]bool{}
	paths := []string{s.Output}
	for _, in := range s.Inputs {
		if !in.Copy {
			paths = append(paths, in.Path)
		}
	}
	for _, m := range s.Mounts {
		paths = append(paths, m.Path)
	}
	for _, c := range s.Caches {
		paths = append(paths, c.Path)
	}
	for _, p := range paths {
		if !path.IsAbs(p) || path.Clean(p) != p || p == "/" || strings.HasPrefix(p+"/", "/proc/") || seen[p] {
			t.Errorf("%s: path %q", data, p)
		}
		seen[p] = true
	}
}

func FuzzSpec(f *testing.F) {
	for _, text := range []string{
		`{}`, `null`, `{"step":"a","image":"i","cmd":["sh"]}`, `{"inputs":[{"step":"a"},{"step":"b","copy":true,"path":"/b"}]}`,
		`{"mounts":[{"host":"/a","path":"/b"}],"caches":[{"name":"c","path":"/c","exclusive":true}]}`, `{"env":{"__proto__":"1"}}`,
		`{"output":"/a/../b"}`, `{"timeout":"-1s"}`, `{"cmd":["\u0000"]}`, `{"IMAGE":"x"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := ReadSpec(bytes.NewReader(data)); err == nil {
			checked(t, s)
		}
	})
}
