package step

import (
	"path/filepath"
	"slices"
	"strings"
)

// Complete returns a copy of s with the defaults filled in and capabilities in
// their full form, such as CAP_NET_RAW. It does not change s.
func (s *Spec) Complete() *Spec {
	c := *s
	setDefault(&c.Pull, PullMissing)
	setDefault(&c.Network, NetworkNone)
	setDefault(&c.Output, DefaultOutput)
	setDefault(&c.Hostname, DefaultHostname)
	if s.Setup != nil {
		setup := *s.Setup
		setDefault(&setup.Network, NetworkHost)
		c.Setup = &setup
	}
	if s.Entrypoint != nil && *s.Entrypoint == nil {
		c.Entrypoint = &[]string{} // in JSON, nil would be the image's own
	}
	c.Inputs = slices.Clone(s.Inputs)
	for i := range c.Inputs {
		if in := &c.Inputs[i]; !in.Copy {
			setDefault(&in.Path, "/input/"+in.Step)
		}
	}
	c.CapAdd, c.CapDrop = capabilities(s.CapAdd), capabilities(s.CapDrop)
	return &c
}

func setDefault[T ~string](field *T, value T) {
	if *field == "" {
		*field = value
	}
}

// CapAll stands for all capabilities.
const CapAll = "ALL"

// capabilities returns names in their full form.
func capabilities(names []string) []string {
	full := slices.Clone(names)
	for i, c := range full {
		c = strings.ToUpper(c)
		if c != CapAll && !strings.HasPrefix(c, "CAP_") {
			c = "CAP_" + c
		}
		full[i] = c
	}
	return full
}

// Absolute makes the host paths of s absolute, by joining relative ones to dir.
func (s *Spec) Absolute(dir string) {
	absolute := func(path *string) {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
	for i := range s.Mounts {
		absolute(&s.Mounts[i].Host)
	}
	for i := range s.Sources {
		absolute(&s.Sources[i].Host)
	}
	for i := range s.Secrets {
		absolute(&s.Secrets[i].File)
	}
}
