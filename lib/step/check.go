package step

import (
	"reflect"
	"runtime"
	"slices"
	"strings"
	"unicode/utf8"

	"pipex/lib/internal/lazy"
	"pipex/lib/name"

	units "github.com/docker/go-units"
)

// Check returns a [*name.UsageError] or a [*name.Error] for the first rule that s
// breaks, once its defaults are filled in. It does not change s. It looks at nothing
// outside s: prepare checks that images, inputs, host paths, capabilities and devices
// exist.
func (s *Spec) Check() error {
	s = s.Complete()
	if s.Step != "" {
		if err := name.Check("step", s.Step); err != nil {
			return err
		}
	}
	for _, check := range []func() error{s.checkText, s.checkImage, s.checkSetup, s.checkEnv, s.checkProcess, s.checkLimits, s.checkSecurity, s.checkSources, s.checkPaths} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// checkText refuses text that is not UTF-8. JSON cannot hold it: in the run's record
// and the container's configuration it would be changed.
func (s *Spec) checkText() error {
	var check func(v reflect.Value) error
	check = func(v reflect.Value) (err error) {
		switch v.Kind() {
		case reflect.String:
			if text := v.String(); !utf8.ValidString(text) {
				return name.Usage("%q is not UTF-8 and cannot be recorded; pass it in a file", text)
			}
		case reflect.Pointer:
			if !v.IsNil() {
				return check(v.Elem())
			}
		case reflect.Struct:
			for i := 0; i < v.NumField() && err == nil; i++ {
				err = check(v.Field(i))
			}
		case reflect.Slice:
			for i := 0; i < v.Len() && err == nil; i++ {
				err = check(v.Index(i))
			}
		case reflect.Map:
			for _, key := range v.MapKeys() {
				if err = check(key); err == nil {
					err = check(v.MapIndex(key))
				}
				if err != nil {
					return err
				}
			}
		}
		return err
	}
	return check(reflect.ValueOf(s))
}

// command returns the part of the command that does not depend on the image.
func (s *Spec) command() []string {
	if s.Entrypoint == nil {
		return s.Cmd
	}
	return slices.Concat(*s.Entrypoint, s.Cmd)
}

// platform matches OS/ARCH[/VARIANT].
var platform = lazy.Regexp(`^[a-z0-9_]+/[a-z0-9_]+(/[a-z0-9_]+)?$`)

func (s *Spec) checkImage() error {
	switch s.Pull {
	case PullMissing, PullAlways, PullNever:
	default:
		return name.Usage("invalid pull policy %q: missing, always or never", s.Pull)
	}
	if s.Platform != "" && !platform().MatchString(s.Platform) {
		return name.Usage("invalid platform %q: OS/ARCH[/VARIANT], such as linux/arm64", s.Platform)
	}
	if what := s.container(); s.Image == "" && what != "" {
		return name.Usage("%s needs --image: without one a run has no container", what)
	}
	if len(s.Cmd) > 0 && s.Cmd[0] == "" {
		return name.Usage("the command is empty")
	}
	if e := s.Entrypoint; e != nil && len(*e) > 0 && (*e)[0] == "" {
		return name.Usage("the entrypoint is empty")
	}
	return checkArgs(s.command())
}

func checkArgs(args []string) error {
	for _, arg := range args {
		if strings.ContainsRune(arg, 0) {
			return name.Usage("the command holds a NUL byte: %q", arg)
		}
	}
	return nil
}

func (s *Spec) checkSetup() error {
	if s.Setup == nil {
		return nil
	}
	if len(s.Setup.Cmd) == 0 || s.Setup.Cmd[0] == "" {
		return name.Usage("the setup's command is empty")
	}
	if _, err := ParseNetwork(string(s.Setup.Network)); err != nil {
		return err
	}
	if err := checkCaches(s.Setup.Caches); err != nil {
		return err
	}
	return checkArgs(s.Setup.Cmd)
}

// container names the first option in s that needs a container, or returns "".
func (s *Spec) container() string {
	for _, c := range []struct {
		asked bool
		what  string
	}{
		{len(s.Cmd) > 0, "a command"},
		{s.Entrypoint != nil, "an entrypoint"},
		{s.Setup != nil, "a setup"},
		{!s.Limits.none(), "a limit"},
		{s.Network != NetworkNone, "a network"},
		{s.User != "", "a user"},
		{s.Platform != "", "a platform"},
		{s.ReadOnly, "--read-only"},
		{s.Userns, "--userns"},
		{s.NoInit, "--no-init"},
		{s.Bits32, "--32-bit"},
		{len(s.Sources) > 0, "a source"},
		{len(s.Tmpfs) > 0, "a tmpfs"},
		{len(s.Secrets) > 0, "a secret"},
		{len(s.Devices) > 0, "a device"},
		{len(s.CapAdd) > 0 || len(s.CapDrop) > 0, "a capability"},
	} {
		if c.asked {
			return c.what
		}
	}
	return ""
}

func (s *Spec) checkEnv() error {
	for key, value := range s.Env {
		if key == "" || strings.ContainsAny(key, "=\x00") {
			return name.Usage("invalid environment variable name %q", key)
		}
		if strings.ContainsRune(value, 0) {
			return name.Usage("environment variable %q holds a NUL byte", key)
		}
	}
	return nil
}

// isHostname tells whether s is a host name as in RFC 1123, of one label or more. Every step has
// one, and this costs a tenth of compiling a regular expression.
func isHostname(s string) bool {
	const inside = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-"
	return s != "" && len(s) <= 63 && strings.Trim(s, inside) == "" && strings.Trim(s, ".-") == s
}

// user matches UID, NAME, UID:GID and NAME:GROUP.
var user = lazy.Regexp(`^[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?$`)

func (s *Spec) checkProcess() error {
	if _, err := ParseNetwork(string(s.Network)); err != nil {
		return err
	}
	if s.User != "" && !user().MatchString(s.User) {
		return name.Usage("invalid user %q: UID, NAME, UID:GID or NAME:GROUP", s.User)
	}
	if !isHostname(s.Hostname) {
		return name.Usage("invalid host name %q", s.Hostname)
	}
	if s.Timeout < 0 {
		return name.Usage("a timeout cannot be negative")
	}
	return nil
}

// minMemory is the least memory limit, the same as docker's. With less, not even the
// init starts.
const minMemory = 6 << 20

func (s *Spec) checkLimits() error {
	l := s.Limits
	if l.Memory != 0 && l.Memory < minMemory {
		return name.Usage("a memory limit of %d bytes is too small: 6m at least", l.Memory)
	}
	if l.CPUs != 0 && !(l.CPUs >= 0.01 && l.CPUs <= float64(runtime.NumCPU())) {
		return name.Usage("cannot limit to %g CPUs: 0.01 to %d on this machine", l.CPUs, runtime.NumCPU())
	}
	if l.Pids < 0 || l.ShmSize < 0 || l.LogMax < 0 {
		return name.Usage("a limit cannot be negative")
	}
	for _, u := range l.Ulimits {
		if _, err := units.ParseUlimit(u); err != nil {
			return name.Usage("invalid ulimit %q: NAME=SOFT[:HARD], such as nofile=1024:2048", u)
		}
	}
	return nil
}

// The forms of names. A secret's name must serve as a file name and as a variable
// name. Whether a capability or a device exists is checked later, by prepare.
var (
	capability = lazy.Regexp(`^CAP_[A-Z][A-Z0-9_]*$`)
	device     = lazy.Regexp(`^[A-Za-z][A-Za-z0-9_.-]*/[A-Za-z][A-Za-z0-9_.-]*=[A-Za-z0-9][A-Za-z0-9_.:-]*$`)
	secretForm = lazy.Regexp(`^[A-Za-z_][A-Za-z0-9_.-]{0,127}$`)
)

func (s *Spec) checkSecurity() error {
	for _, list := range [][]string{s.CapAdd, s.CapDrop} {
		for _, c := range list {
			if c != CapAll && !capability().MatchString(c) {
				return name.Usage("unknown capability %q: such as NET_RAW, or ALL; see capabilities(7)", strings.TrimPrefix(c, "CAP_"))
			}
		}
	}
	taken := map[string]bool{}
	for _, secret := range s.Secrets {
		if !secretForm().MatchString(secret.Name) {
			return name.Usage("invalid name of a secret %q: letters, digits, _ . and -", secret.Name)
		}
		if taken[secret.Name] {
			return name.Usage("secret %q is given twice", secret.Name)
		}
		taken[secret.Name] = true
		if _, ok := s.Env[secret.Name]; ok && secret.Env {
			return name.Usage("%q is both a secret and an environment variable", secret.Name)
		}
		if strings.ContainsRune(secret.File, 0) {
			return name.Usage("invalid host path %q", secret.File)
		}
	}
	for _, t := range s.Tmpfs {
		if t.Size < 0 {
			return name.Usage("a size cannot be negative")
		}
	}
	for _, d := range s.Devices {
		if !device().MatchString(d) {
			return name.Usage("invalid device %q: a CDI name, VENDOR/CLASS=NAME", d)
		}
	}
	return nil
}

func (s *Spec) checkSources() error {
	for _, in := range s.Inputs {
		if err := name.Check("step", in.Step); err != nil {
			return err
		}
		if in.Run != "" {
			if _, err := name.ParseRef(in.Run); err != nil {
				return err
			}
		}
	}
	if err := checkCaches(s.Caches); err != nil {
		return err
	}
	for _, m := range slices.Concat(s.Mounts, s.Sources) {
		if m.Host == "" || strings.ContainsRune(m.Host, 0) {
			return name.Usage("invalid host path %q", m.Host)
		}
	}
	return nil
}

func checkCaches(caches []Cache) error {
	for _, c := range caches {
		if err := name.Check("cache", c.Name); err != nil {
			return err
		}
		if c.ReadOnly && c.Exclusive {
			return name.Usage("cache %q is both read-only and exclusive", c.Name)
		}
	}
	return nil
}
