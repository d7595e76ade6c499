package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"pipex/bench/internal/measure"
)

// engineImage is the name of the image in docker and podman.
const engineImage = "pipex-bench"

// engines are docker and podman with the same image, as far as they are installed and can run
// a container.
func (s *site) engines() (peers []peer, err error) {
	for _, engine := range []string{"docker", "podman"} {
		usable, err := s.engine(engine)
		if err != nil {
			return nil, err
		}
		if usable {
			peers = append(peers, peer{Subject: measure.Subject{
				Name:      engine + " run --rm",
				Do:        func(*measure.Sample) error { return s.call("", oneTrue(engine)...) },
				Elsewhere: engine == "docker",
			}})
		}
	}
	return peers, nil
}

// oneTrue is the command with which an engine runs true.
func oneTrue(engine string) []string {
	return []string{engine, "run", "--rm", "--network", "none", engineImage, "true"}
}

// engine gives an engine the image of the static busybox, and says why not when the engine
// cannot run it.
func (s *site) engine(engine string) (usable bool, err error) {
	if usable, asked := s.usable[engine]; asked || !s.has(engine) {
		return usable, nil
	}
	root, err := s.root()
	if err != nil {
		return false, err
	}
	tar := root + ".tar"
	if err := s.call("", "tar", "-C", root, "-cf", tar, "."); err != nil {
		return false, err
	}
	err = s.call("", engine, "import", tar, engineImage)
	if err == nil {
		if err = s.call("", oneTrue(engine)...); err != nil {
			s.call("", engine, "rmi", engineImage)
		}
	}
	if err != nil {
		say("%s is left out: %v", engine, err)
	}
	s.usable[engine] = err == nil
	return err == nil, nil
}

// forget removes the image from the engines.
func (s *site) forget() error {
	var failed []error
	for engine, usable := range s.usable {
		if usable {
			failed = append(failed, s.call("", engine, "rmi", engineImage))
		}
	}
	return errors.Join(failed...)
}

// root makes a root file system in which true and sh are the static busybox.
func (s *site) root() (string, error) {
	dir, err := s.temporary("root")
	if err != nil {
		return "", err
	}
	for _, d := range []string{"bin", "proc", "dev", "sys"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return "", err
		}
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile(busybox)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "bin", "true"), data, 0o755); err != nil {
		return "", err
	}
	return dir, os.Link(filepath.Join(dir, "bin", "true"), filepath.Join(dir, "bin", "sh"))
}

// bundle makes a bundle in which runc runs true.
func (s *site) bundle() (string, error) {
	root, err := s.root()
	if err != nil {
		return "", err
	}
	bundle, err := s.temporary("bundle")
	if err != nil {
		return "", err
	}
	if err := s.call("", "runc", "spec", "-b", bundle); err != nil {
		return "", err
	}
	if err := os.Rename(root, filepath.Join(bundle, "rootfs")); err != nil {
		return "", err
	}
	config := filepath.Join(bundle, "config.json")
	data, err := os.ReadFile(config)
	if err != nil {
		return "", err
	}
	text := strings.NewReplacer(`"sh"`, `"true"`, `"terminal": true`, `"terminal": false`).Replace(string(data))
	return bundle, os.WriteFile(config, []byte(text), 0o644)
}
