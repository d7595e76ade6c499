package step

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"pipex/lib/internal/lazy"
	"pipex/lib/name"

	units "github.com/docker/go-units"
)

// ParseInput reads STEP[=RUN][:PATH].
func ParseInput(s string) (Input, error) {
	which, path, hasPath := strings.Cut(s, ":")
	step, run, hasRun := strings.Cut(which, "=")
	if step == "" || hasRun && run == "" || hasPath && path == "" {
		return Input{}, name.Usage("invalid input %q: STEP[=RUN][:PATH]", s)
	}
	return Input{Step: step, Run: run, Path: path}, nil
}

// ParseMount reads HOST:PATH. A host path with a colon can be given in a spec only.
func ParseMount(s string) (Mount, error) {
	host, path, ok := strings.Cut(s, ":")
	if !ok || host == "" || path == "" {
		return Mount{}, name.Usage("invalid mount %q: HOST:PATH is wanted, such as .:/src", s)
	}
	if strings.Contains(path, ":") {
		return Mount{}, name.Usage("invalid mount %q: HOST:PATH, always read-only; give a host path with a colon through --spec", s)
	}
	return Mount{Host: host, Path: path}, nil
}

// ParseTmpfs reads PATH[:SIZE].
func ParseTmpfs(s string) (Tmpfs, error) {
	path, size, sized := strings.Cut(s, ":")
	t := Tmpfs{Path: path}
	if path == "" {
		return t, name.Usage("invalid tmpfs %q: PATH[:SIZE]", s)
	}
	var err error
	if sized {
		t.Size, err = ParseSize(size)
	}
	return t, err
}

// ParseSecret reads NAME, or NAME=FILE.
func ParseSecret(s string) (Secret, error) {
	secret, file, ok := strings.Cut(s, "=")
	if secret == "" || ok && file == "" {
		return Secret{}, name.Usage("invalid secret %q: NAME for the environment variable, or NAME=FILE", s)
	}
	return Secret{Name: secret, File: file}, nil
}

// ParseCache reads NAME:PATH[:ro|:exclusive].
func ParseCache(s string) (Cache, error) {
	parts := strings.Split(s, ":")
	c := Cache{Name: parts[0]}
	if len(parts) == 3 {
		c.ReadOnly = parts[2] == "ro"
		c.Exclusive = parts[2] == "exclusive"
	}
	if len(parts) < 2 || len(parts) > 3 || len(parts) == 3 && !c.ReadOnly && !c.Exclusive {
		return c, name.Usage("invalid cache %q: NAME:PATH[:ro|:exclusive]", s)
	}
	c.Path = parts[1]
	return c, nil
}

// ParseEnv reads K=V, or K, whose value lookup returns. It is an error if lookup has
// no value for K.
func ParseEnv(s string, lookup func(string) (string, bool)) (key, value string, err error) {
	key, value, ok := strings.Cut(s, "=")
	if key == "" {
		return "", "", name.Usage("invalid environment variable %q: K=V, or K for its value here", s)
	}
	if !ok {
		if value, ok = lookup(key); !ok {
			return "", "", name.Usage("environment variable %q is not set here; give it as %s=VALUE", key, key)
		}
	}
	return key, value, nil
}

// ParseSize reads a number of bytes with one of docker's suffixes: b, k, m, g.
func ParseSize(s string) (Size, error) {
	n, err := units.RAMInBytes(s)
	if err != nil || n <= 0 {
		return 0, name.Usage("invalid size %q: such as 512m or 2g", s)
	}
	return Size(n), nil
}

// networkName matches the network names that the CNI specification allows.
var networkName = lazy.Regexp(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// ParseNetwork reads none, host, bridge or cni:NAME. An empty string stays empty.
func ParseNetwork(s string) (Network, error) {
	n := Network(s)
	cni, isCNI := strings.CutPrefix(s, networkCNI)
	if n != "" && n != NetworkNone && n != NetworkHost && n != NetworkBridge && !(isCNI && networkName().MatchString(cni)) {
		return "", name.Usage("invalid network %q: none, host, bridge or cni:NAME", s)
	}
	return n, nil
}

// ParseAge reads a duration as [time.ParseDuration] does, or whole days, such as 30d.
// An empty string is zero.
func ParseAge(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		const day = 24 * time.Hour
		var n int64
		if n, err = strconv.ParseInt(days, 10, 64); n > int64(math.MaxInt64/day) {
			err = strconv.ErrRange
		}
		d = time.Duration(n) * day
	}
	if err != nil || d < 0 {
		return 0, name.Usage("invalid age %q: %s, or 30d", s, WrongDuration(s))
	}
	return d, nil
}

// WrongDuration says what is wrong with a text that is not a duration.
func WrongDuration(s string) string {
	if s != "" && strings.Trim(s, "0123456789.") == "" {
		return fmt.Sprintf("a unit is wanted, such as %ss or %sm", s, s)
	}
	return "a time is wanted, such as 90s or 1h30m"
}
