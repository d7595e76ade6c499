// Package pipex_test runs the scripts in testdata/scripts against the built
// binaries and a containerd of its own, with real containers.
package pipex_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// site is what all scripts share: made once, ended once.
var site struct {
	bin     string // the built binaries
	scripts string // the porcelain
	address string // containerd's socket
}

func TestMain(m *testing.M) { os.Exit(whole(m)) }

func whole(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pipex-test-")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	// Root of a user namespace must find containers' root file systems below.
	if err := os.Chmod(dir, 0o711); err != nil {
		return fail(err)
	}
	site.scripts, err = filepath.Abs("scripts")
	if err != nil {
		return fail(err)
	}
	site.bin = filepath.Join(dir, "bin")
	if err := build(site.bin); err != nil {
		return fail(err)
	}
	daemon := filepath.Join(dir, "containerd")
	defer output(filepath.Join(site.scripts, "pipex-containerd"), "stop", "--purge", daemon)
	if _, err := output(filepath.Join(site.scripts, "pipex-containerd"), "start", daemon); err != nil {
		return fail(err)
	}
	address, err := os.ReadFile(filepath.Join(daemon, "address"))
	if err != nil {
		return fail(err)
	}
	site.address = strings.TrimSpace(string(address))
	os.Setenv("CONTAINERD_ADDRESS", site.address)
	if _, err := output(filepath.Join(site.scripts, "pipex-image"), "busybox"); err != nil {
		return fail(err)
	}
	return m.Run()
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "cannot test against containerd:", err)
	return 1
}

// build makes the binaries as `make build` does, with coverage where the tests
// are run with it.
func build(dir string) error {
	args := []string{"build", "-tags=urfave_cli_no_docs", "-trimpath", "-o", dir + "/"}
	if testing.CoverMode() != "" {
		args = append(args, "-cover", "-coverpkg=pipex/...")
	}
	_, err := output("env", append([]string{"CGO_ENABLED=0", "go"}, append(args, "./cmd/...", "./scripts/...")...)...)
	return err
}

func output(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return string(out), err
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/scripts",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", site.bin+":"+site.scripts+":"+os.Getenv("PATH"))
			env.Setenv("CONTAINERD_ADDRESS", site.address)
			env.Setenv("SCRIPTS", site.scripts)
			if dir := os.Getenv("GOCOVERDIR"); dir != "" {
				env.Setenv("GOCOVERDIR", dir)
			}
			// Whatever a script leaves open is gone when it ends.
			env.Defer(func() { release(env) })
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    exits,
			"run":      capture,
			"owned":    owned,
			"remember": remember,
			"same":     same,
			"registry": registry,
			"port":     port,
			"peak":     peak,
		},
	})
}
