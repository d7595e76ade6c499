package container

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/containerd/identifiers"
)

// Whatever a run and its workspace are called, containerd takes the id, and no
// two share one.
func TestIDs(t *testing.T) {
	seen := map[string]Owner{}
	for _, run := range []string{"1700000000000-0123abcd", "a", "_", "__", "a_", "-a", "a--b", "a-b", "__proto__", strings.Repeat("x", 128), strings.Repeat("x", 127), strings.Repeat("_", 128)} {
		for _, dir := range []string{"/w/a", "/w/b", "/w w/\xff"} {
			o := Owner{Workdir: dir, Run: run}
			id := o.NewID()
			if err := identifiers.Validate(id); err != nil {
				t.Errorf("%+v: %v", o, err)
			}
			if other, taken := seen[id]; taken {
				t.Errorf("%+v and %+v are both %s", o, other, id)
			}
			if o.NewID() != id {
				t.Errorf("%+v: another id each time", o)
			}
			seen[id] = o
		}
	}
}

// What is appended to a log while it is followed arrives byte for byte, from the
// offset on.
func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	before := []byte("before\n")
	if err := os.WriteFile(path, before, 0o600); err != nil {
		t.Fatal(err)
	}
	var want, got bytes.Buffer
	f, err := Follow(path, int64(len(before)), KeepAll, &got)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		part := bytes.Repeat([]byte{byte(i), 0, '\n', 0xff}, i%600)
		want.Write(part)
		if _, err := log.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	f.Ended()
	last := []byte("written after the task had ended, without a line feed")
	want.Write(last)
	if _, err := log.Write(last); err != nil {
		t.Fatal(err)
	}
	log.Close()
	if err := f.Stop(); err != nil {
		t.Error(err)
	}
	if err := f.Stop(); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Errorf("%d bytes arrived of %d", got.Len(), want.Len())
	}
}

// A reader that goes away is no error; any other failure to write is.
func TestFollowWithoutReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	f, err := Follow(path, 0, KeepAll, w)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Stop(); err != nil {
		t.Errorf("a closed pipe: %v", err)
	}
	f, err = Follow(path, 0, KeepAll, full{})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Stop(); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("a full disk: %v", err)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestCommandErrors(t *testing.T) {
	const before = `failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: `
	for msg, want := range map[string]int{
		before + `exec: "nosuch": executable file not found in $PATH: unknown`:                              127,
		before + `exec: "/no/such": stat /no/such: no such file or directory: unknown`:                      127,
		before + `exec: "/etc/passwd": permission denied: unknown`:                                          126,
		before + `exec: "/bin": is a directory: unknown`:                                                    126,
		before + `error mounting "/a" to rootfs at "/b": mount /a:/b: permission denied: unknown`:           0,
		before + `error mounting "/exec: x" to rootfs: stat /exec: no such file or directory: unknown`:      0,
		`failed to create shim task: context canceled`:                                                      0,
		before + `chdir to cwd ("/x") set in config.json failed: no such file or directory: unknown`:        0,
		before + `exec: "sh": executable file not found in $PATH: unknown: something that comes after this`: 127,
	} {
		err := commandError([]string{"name"}, errors.New(msg))
		var command *CommandError
		got := 0
		if errors.As(err, &command) {
			got = command.Code
		}
		if got != want {
			t.Errorf("%s: %d, want %d", msg, got, want)
		}
	}
}

func TestCheckLog(t *testing.T) {
	for path, good := range map[string]bool{"/a b/ü/log": true, "/a%20b": true, "/100%/x": false, "/a%zz": false} {
		if err := CheckLog(path); (err == nil) != good {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestNobodyAnswers(t *testing.T) {
	dir := t.TempDir()
	for _, address := range []string{filepath.Join(dir, "none"), dir, "unix://" + dir, strings.Repeat("/x", 100)} {
		_, err := Connect(context.Background(), address, "ns")
		if !errors.Is(err, ErrUnreachable) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
