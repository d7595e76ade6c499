package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"pipex/bench/internal/measure"
)

// engines are docker and podman with the same image, as far as they are installed and
// answer.
func (s *site) engines() (peers []peer, err error) {
	for _, engine := range []string{"docker", "podman"} {
		if !s.has(engine) {
			continue
		}
		if s.call("", engine, "info") != nil {
			if !s.said[engine] {
				say("%s does not answer: left out", engine)
				s.said[engine] = true
			}
			continue
		}
		const name = "pipex-bench"
		if err := s.imported(engine, name); err != nil {
			return nil, err
		}
		peers = append(peers, peer{Subject: measure.Subject{
			Name: engine + " run --rm",
			Do: func(*measure.Sample) error {
				return s.call("", engine, "run", "--rm", "--network", "none", name, "true")
			},
		}})
	}
	return peers, nil
}

// imported gives an engine an image of the static busybox.
func (s *site) imported(engine, name string) error {
	root, err := s.root()
	if err != nil {
		return err
	}
	tar := root + ".tar"
	if err := s.call("", "tar", "-C", root, "-cf", tar, "."); err != nil {
		return err
	}
	return s.call("", engine, "import", tar, name)
}

// root makes a root file system in which true is the static busybox.
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
	return dir, os.WriteFile(filepath.Join(dir, "bin", "true"), data, 0o755)
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
