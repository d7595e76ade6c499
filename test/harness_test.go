package test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// site is where everything is.
var site struct {
	dir     string   // temporary, all that tests make is below
	scripts string   // the porcelain
	caller  []string // environment
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	end, err := begin()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot begin the tests:", err)
		return 1
	}
	defer end()
	status := m.Run()
	races, _ := filepath.Glob(filepath.Join(site.dir, "races", "*"))
	for _, race := range races {
		text, _ := os.ReadFile(race)
		fmt.Fprintf(os.Stderr, "FAIL: a data race in a verb:\n%s\n", text)
		status = max(status, 1)
	}
	return status
}

func begin() (end func(), err error) {
	site.caller = os.Environ()
	os.Clearenv()
	for _, variable := range site.caller {
		if name, value, _ := strings.Cut(variable, "="); seen.MatchString(name) {
			os.Setenv(name, value)
		}
	}
	if site.scripts, err = filepath.Abs("../scripts"); err != nil {
		return nil, err
	}
	// A short name: the path of a socket below has 104 bytes at most.
	if site.dir, err = os.MkdirTemp("", "pipex-"); err != nil {
		return nil, err
	}
	end, err = cleanup(site.dir)
	if err != nil {
		os.RemoveAll(site.dir)
		return nil, err
	}
	// Root of a user namespace must find containers' root file systems below, and
	// any user may have a race.
	races := filepath.Join(site.dir, "races")
	err = errors.Join(os.Chmod(site.dir, 0o711), os.Mkdir(races, 0o700), os.Chmod(races, 0o777))
	os.Setenv("TMPDIR", site.dir)
	os.Setenv("GORACE", "halt_on_error=1 exitcode=66 atexit_sleep_ms=0 log_path="+filepath.Join(races, "race"))
	if err != nil {
		end()
	}
	return end, err
}

// seen are the variables of the caller's that tests see.
var seen = regexp.MustCompile(`^(PATH|HOME|TMPDIR|GO[A-Z]*|PIPEX_FAULTS|PIPEX_FAULTS_SEED|PIPEX_INSTRUCTIONS)$`)

// cleanup starts the program that removes dir when end is called, or when this
// process is no more.
func cleanup(dir string) (end func(), err error) {
	cmd := exec.Command("./cleanup", dir)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // ^C is not for it
	pipe, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	return func() {
		pipe.Close()
		cmd.Wait()
	}, err
}

// binaries is the directory of the binaries, made as `make build` makes them:
// with coverage or the race detector where the tests have it.
var binaries = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(site.dir, "bin")
	cgo, tags, extra := "0", "urfave_cli_no_docs,grpcnotrace", []string(nil)
	if raced {
		// pipex-exec runs inside containers too, so it must need no library of the machine's.
		cgo, tags, extra = "1", tags+",netgo,osusergo", []string{"-race", "-ldflags=-linkmode external -extldflags -static"}
	}
	if testing.CoverMode() != "" {
		extra = append(extra, "-cover", "-coverpkg=pipex/...")
	}
	args := append([]string{"build", "-tags=" + tags, "-trimpath", "-o", dir + "/"}, extra...)
	cmd := exec.Command("go", append(args, "./cmd/...", "./scripts/...")...)
	cmd.Dir, cmd.Env = "..", append(site.caller, "CGO_ENABLED="+cgo)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, err
})

// daemon is the address of a containerd that has the image busybox.
var daemon = sync.OnceValues(func() (string, error) {
	bin, err := binaries()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(site.dir, "containerd")
	if _, err := output("env", "PATH="+path(bin), "pipex-containerd", "start", dir); err != nil {
		return "", err
	}
	address, err := os.ReadFile(filepath.Join(dir, "address"))
	if err != nil {
		return "", err
	}
	_, err = output("env", "PATH="+path(bin), "CONTAINERD_ADDRESS="+strings.TrimSpace(string(address)), "pipex-image", "busybox")
	return strings.TrimSpace(string(address)), err
})

// verbs returns the directory of the binaries.
func verbs(t testing.TB) string { return made(t, binaries) }

// containerd returns the address of the tests' containerd.
func containerd(t testing.TB) string { return made(t, daemon) }

func made(t testing.TB, thing func() (string, error)) string {
	t.Helper()
	value, err := thing()
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// path is a $PATH with the verbs, the scripts and the tests' own commands.
func path(bin string) string {
	own, _ := filepath.Abs("bin")
	return strings.Join([]string{bin, own, site.scripts, os.Getenv("PATH")}, ":")
}

func output(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// needy are the words of a script that needs a containerd.
var needy = regexp.MustCompile(`image|containerd|examples|\b(ctr|owned|discard|prune)\b`)

func TestScripts(t *testing.T) {
	t.Parallel()
	const dir = "../testdata/scripts"
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			bin, err := binaries()
			if err != nil {
				return err
			}
			name := strings.TrimPrefix(filepath.Base(env.WorkDir), "script-")
			text, err := os.ReadFile(filepath.Join(dir, name+".txtar"))
			if err != nil {
				return err
			}
			address := filepath.Join(site.dir, "not-started.sock")
			if needy.Match(text) {
				if address, err = daemon(); err != nil {
					return err
				}
				// Whatever a script leaves open is gone when it ends.
				env.Defer(func() { release(address, env.WorkDir) })
			}
			nodes := filepath.Join(env.WorkDir, "nodes")
			env.Setenv("NODES", nodes)
			env.Defer(func() { // the clusters that a script has left, since it failed
				all, _ := filepath.Glob(filepath.Join(env.WorkDir, ".tmp", "*", "slurm.conf"))
				for _, conf := range all {
					output(filepath.Join(site.scripts, "examples", "cluster", "cluster"), "stop", filepath.Dir(conf))
				}
			})
			env.Defer(func() { // the containerds that bin/machine has started
				all, _ := filepath.Glob(filepath.Join(nodes, "*", "pipex.lock"))
				for _, lock := range all {
					if said, err := output(filepath.Join(site.scripts, "pipex-containerd"), "stop", "--purge", filepath.Dir(lock)); err != nil {
						env.T().Fatal("cannot stop a node: ", err, said)
					}
				}
			})
			env.Defer(func() {
				if err := conform(env.WorkDir); err != nil && !odd[name] {
					env.T().Fatal("records that docs/meta.schema.json does not accept: ", err)
				}
			})
			env.Setenv("PATH", path(bin))
			env.Setenv("CONTAINERD_ADDRESS", address)
			env.Setenv("SCRIPTS", site.scripts)
			for _, dir := range []string{"GOMODCACHE", "GOCACHE"} { // HOME is another
				if at, err := output("go", "env", dir); err == nil {
					env.Setenv(dir, strings.TrimSpace(at))
				}
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"eventually": eventually,
			"exits":      exits,
			"run":        capture,
			"owned":      owned,
			"remember":   remember,
			"same":       same,
			"registry":   registry,
			"port":       port,
			"peak":       peak,
			"crate":      crate,
			"attested":   attested,
		},
	})
}
