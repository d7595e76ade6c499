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

	"pipex/lib/name"
)

func TestCompleteAndCheckLeaveTheSpecAlone(t *testing.T) {
	s := Spec{Image: "i", Options: Options{CapAdd: []string{"net_raw", "all"}}, Setup: &Setup{Cmd: []string{"x"}}, Inputs: []Input{{Step: "a"}, {Step: "b", Copy: true}}}
	before, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	want := &Spec{Image: "i", Pull: PullMissing,
		Options: Options{Network: NetworkNone, Output: "/output", Hostname: "pipex", CapAdd: []string{"CAP_NET_RAW", "ALL"}},
		Setup:   &Setup{Cmd: []string{"x"}, Network: NetworkHost},
		Inputs:  []Input{{Step: "a", Path: "/input/a"}, {Step: "b", Copy: true}}}
	if got := s.Complete(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if after, err := json.Marshal(s); err != nil || !bytes.Equal(before, after) {
		t.Errorf("Check or Complete changed its receiver: %s", after)
	}
}

func TestCheckAccepts(t *testing.T) {
	for _, s := range []Spec{
		{},
		{Step: "__proto__", Image: "i", Options: Options{Cmd: []string{"a", ""}}},
		{Image: "i", Options: Options{Output: "/a"}, Mounts: []Mount{{"/", "/a/b"}, {"rel", "/procs"}}},
		{Image: "i", Options: Options{User: "1000:1000", Cwd: "/", Hostname: "a.b-c"}, Timeout: Duration(time.Second)},
		{Image: "i", Options: Options{Env: map[string]string{"constructor": "a\nb", "a.b-c": ""}}},
	} {
		if err := s.Check(); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	for _, s := range []Spec{
		{Step: ".."}, {Step: "-a"}, {Step: "a/b"},
		{Options: Options{Cmd: []string{"a"}}},
		{Image: "i", Options: Options{Cmd: []string{""}}}, {Image: "i", Options: Options{Cmd: []string{"a\x00"}}}, {Image: "i", Options: Options{Cmd: []string{"\xff"}}},
		{Image: "i", Pull: "often"}, {Image: "i", Options: Options{Network: "cni:../x"}}, {Image: "i", Timeout: -1},
		{Options: Options{User: "-x"}}, {Options: Options{User: "a:"}}, {Options: Options{User: "a b"}}, {Options: Options{Hostname: "-a"}}, {Options: Options{Hostname: "a_b"}}, {Options: Options{Hostname: strings.Repeat("a", 64)}},
		{Options: Options{Env: map[string]string{"": "x"}}}, {Options: Options{Env: map[string]string{"a=b": "x"}}}, {Options: Options{Env: map[string]string{"a": "\x00"}}}, {Options: Options{Env: map[string]string{"a": "\xff"}}},
		{Options: Options{Output: "output"}}, {Options: Options{Output: "/"}}, {Options: Options{Output: "/a/../b"}}, {Options: Options{Output: "/a/"}}, {Options: Options{Output: "//a"}}, {Options: Options{Output: "/proc"}}, {Options: Options{Output: "/sys/fs"}}, {Options: Options{Output: "/dev/shm"}}, {Options: Options{Output: "/a\x00"}},
		{Options: Options{Cwd: "x"}}, {Options: Options{Cwd: "/x/.."}},
		{Inputs: []Input{{Step: "../a"}}}, {Inputs: []Input{{Step: "a", Run: "../r"}}}, {Inputs: []Input{{Step: "a"}, {Step: "a"}}},
		{Inputs: []Input{{Step: "a", Path: "/output"}}}, {Mounts: []Mount{{"/h", "/output"}}}, {Mounts: []Mount{{"", "/c"}}}, {Mounts: []Mount{{"/a\x00", "/c"}}},
		{Mounts: []Mount{{"/h", "/c"}}, Caches: []Cache{{Name: "c", Path: "/c"}}},
		{Caches: []Cache{{Name: "..", Path: "/c"}}}, {Caches: []Cache{{Name: "c", Path: "/c", ReadOnly: true, Exclusive: true}}},
	} {
		var usage *name.UsageError
		var wrong *name.Error
		if err := s.Check(); !errors.As(err, &usage) && !errors.As(err, &wrong) {
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
		var usage *name.UsageError
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
	s = s.Complete()
	if p := s.Pin(); recorded(t, p).Fingerprint() != p.Fingerprint() {
		t.Errorf("%s: what meta.json gives back is another step", data)
	}
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
