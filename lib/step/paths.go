package step

import (
	"path"
	"strings"

	"pipex/lib/name"
)

// checkPaths refuses paths in the container that are not absolute and clean, two
// things at one path, and anything below /proc, /sys and /dev.
func (s *Spec) checkPaths() error {
	taken := map[string]string{}
	claim := func(what, p string) error {
		if err := checkContainerPath(what, p); err != nil {
			return err
		}
		if other, ok := taken[p]; ok {
			return name.Usage("%s and %s are both at %q", other, what, p)
		}
		taken[p] = what
		return nil
	}
	if s.Cwd != "" {
		if err := checkClean("working directory", s.Cwd); err != nil {
			return err
		}
	}
	if err := claim("the output", s.Output); err != nil {
		return err
	}
	for _, in := range s.Inputs {
		if in.Path == "" {
			continue
		}
		if err := claim("input "+in.Step, in.Path); err != nil {
			return err
		}
	}
	for _, m := range s.Mounts {
		if err := claim("mount "+m.Host, m.Path); err != nil {
			return err
		}
	}
	for _, m := range s.Sources {
		if err := claim("source "+m.Host, m.Path); err != nil {
			return err
		}
	}
	for _, t := range s.Tmpfs {
		if err := claim("tmpfs", t.Path); err != nil {
			return err
		}
	}
	if len(s.Secrets) > 0 {
		if err := claim("secrets", SecretsPath); err != nil {
			return err
		}
	}
	for _, c := range s.Caches {
		if err := claim("cache "+c.Name, c.Path); err != nil {
			return err
		}
	}
	if s.Setup == nil {
		return nil
	}
	for _, c := range s.Caches {
		delete(taken, c.Path) // the setup may put another cache there
	}
	for _, c := range s.Setup.Caches {
		if err := claim("cache "+c.Name, c.Path); err != nil {
			return err
		}
	}
	return nil
}

func checkClean(what, p string) error {
	if !path.IsAbs(p) || path.Clean(p) != p || strings.ContainsRune(p, 0) {
		return name.Usage("%s: container path %q is not absolute and clean", what, p)
	}
	return nil
}

func checkContainerPath(what, p string) error {
	if err := checkClean(what, p); err != nil {
		return err
	}
	if p == "/" {
		return name.Usage("%s cannot be at %q", what, p)
	}
	for _, kernel := range []string{"/proc", "/sys", "/dev"} {
		if p == kernel || strings.HasPrefix(p, kernel+"/") {
			return name.Usage("%s cannot be at %q: %s belongs to the kernel", what, p, kernel)
		}
	}
	return nil
}
