package containerd

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"pipex/lib/internal/endpoint"

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
		err := commandError([]string{"name"}, errors.New(msg), "cannot")
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
		_, err := Connect(context.Background(), endpoint.Containerd{Address: address, Namespace: "ns"})
		if !errors.Is(err, ErrUnreachable) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
