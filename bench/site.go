package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"pipex/bench/internal/measure"
)

// site is where the rows work: a temporary directory, with a containerd of its own that has
// the image busybox.
type site struct {
	options
	ctx     context.Context
	meter   *measure.Meter
	dir     string // of the row
	address string
	bin     binaries
	// said are the peers whose absence was already said.
	said map[string]bool
	// usable are docker and podman, once asked for: whether they run the bench's image.
	usable map[string]bool
}

// binaries is a directory of verbs.
type binaries string

// verb returns the path of a verb. Scripts are not among the binaries: they are found on PATH.
func (b binaries) verb(name string) string {
	path := filepath.Join(string(b), "pipex-"+name)
	if _, err := os.Stat(path); err != nil {
		return filepath.Base(path)
	}
	return path
}

// path returns the setting of PATH with which scripts find these verbs.
func (b binaries) path() string { return "PATH=" + string(b) + ":" + os.Getenv("PATH") }

// environment is what commands see besides the caller's variables. Settings of the caller's
// own, of pipex and make, would change what is measured. Containerd's programs are copied into
// the directory peers.
func (s *site) environment(peers string) error {
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, "PIPEX_") && name != "PIPEX_UPSTREAM" || strings.HasPrefix(name, "MAKE") || name == "MFLAGS" || strings.HasPrefix(name, "GIT_") {
			os.Unsetenv(name)
		}
	}
	scripts, err := filepath.Abs("scripts")
	if err != nil {
		return err
	}
	// Without Debian's /usr/sbin in it, PATH has no runc.
	os.Setenv("PATH", strings.Join([]string{string(s.bin), scripts, peers, os.Getenv("PATH"), "/usr/sbin", "/sbin"}, ":"))
	if err := alikePeers(peers); err != nil {
		return err
	}
	os.Setenv("MAKEFLAGS", "-I"+scripts)
	os.Setenv("LC_ALL", "C")
	return nil
}

// start starts the containerd in dir, and makes the image.
func (s *site) start(dir string) error {
	if err := s.call("", "pipex-containerd", "start", dir); err != nil {
		return err
	}
	pid, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		return err
	}
	daemon, err := strconv.Atoi(strings.TrimSpace(string(pid)))
	if err != nil {
		return err
	}
	s.meter.Daemon(daemon)
	address, err := os.ReadFile(filepath.Join(dir, "address"))
	if err != nil {
		return err
	}
	s.address = strings.TrimSpace(string(address))
	os.Setenv("CONTAINERD_ADDRESS", s.address)
	return s.call("", "pipex-image", "busybox")
}

// call runs a command that is not measured.
func (s *site) call(dir string, args ...string) error {
	_, err := s.meter.Run(measure.Command{Args: args, Dir: dir})
	return err
}

// has says whether a peer's program is installed, and says so once if it is not.
func (s *site) has(program string) bool {
	_, err := exec.LookPath(program)
	if err != nil && !s.said[program] {
		say("%s is not installed: left out", program)
		s.said[program] = true
	}
	return err == nil
}

// size returns the full size, or the short one when nothing is measured.
func (s *site) size(full, short int) int {
	if s.short {
		return short
	}
	return full
}

// temporary makes a directory of the row's.
func (s *site) temporary(name string) (string, error) {
	dir, err := os.MkdirTemp(s.dir, name+"-")
	if err != nil {
		return "", fmt.Errorf("cannot make a directory for %s: %w", name, err)
	}
	return dir, nil
}
