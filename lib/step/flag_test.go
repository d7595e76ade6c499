package step

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"pipex/lib/name"
)

// parses checks a table of texts: what each one means, or that it is refused as
// wrong usage.
func parses[T comparable](t *testing.T, parse func(string) (T, error), good map[string]T, bad ...string) {
	t.Helper()
	for text, want := range good {
		if got, err := parse(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range bad {
		var usage *name.UsageError
		if got, err := parse(text); !errors.As(err, &usage) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func TestParseInput(t *testing.T) {
	parses(t, ParseInput, map[string]Input{
		"a":         {Step: "a"},
		"a=r":       {Step: "a", Run: "r"},
		"a:/p":      {Step: "a", Path: "/p"},
		"a=r:/p=q":  {Step: "a", Run: "r", Path: "/p=q"},
		"__proto__": {Step: "__proto__"},
	}, "", "=r", ":/p", "a=", "a:", "a=:/p")
}

func TestParseMount(t *testing.T) {
	parses(t, ParseMount, map[string]Mount{
		"/h:/c": {Host: "/h", Path: "/c"},
		"h h:/": {Host: "h h", Path: "/"},
	}, "", "/h", ":", "/h:", ":/c", "/h:/c:ro", "/h:/c:rw", "/a:b:/c")
}

func TestParseCache(t *testing.T) {
	parses(t, ParseCache, map[string]Cache{
		"c:/p":           {Name: "c", Path: "/p"},
		"c:/p:ro":        {Name: "c", Path: "/p", ReadOnly: true},
		"c:/p:exclusive": {Name: "c", Path: "/p", Exclusive: true},
	}, "", "c", "c:/p:rw", "c:/p:", "c:/p:ro:exclusive")
}

func TestParseAge(t *testing.T) {
	parses(t, ParseAge, map[string]time.Duration{
		"": 0, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "30d": 720 * time.Hour, "0d": 0,
	}, "x", "1", "-1h", "-1d", "1.5d", "d", "999999d", "99999999999999999999d", "1dd")
}

func TestParseTmpfs(t *testing.T) {
	parses(t, ParseTmpfs, map[string]Tmpfs{
		"/t":      {Path: "/t"},
		"/t:1k":   {Path: "/t", Size: 1024},
		"/t:1.5g": {Path: "/t", Size: 3 << 29},
	}, "", ":1k", "/t:", "/t:0", "/t:-1", "/t:1k:ro", "/t:x")
}

func TestParseSecret(t *testing.T) {
	parses(t, ParseSecret, map[string]Secret{
		"S":       {Name: "S"},
		"S=/f":    {Name: "S", File: "/f"},
		"S=a=b":   {Name: "S", File: "a=b"},
		"S= f ":   {Name: "S", File: " f "},
		"../../S": {Name: "../../S"}, // refused by the spec's check
	}, "", "=", "S=", "=/f")
}

func TestParseSize(t *testing.T) {
	parses(t, ParseSize, map[string]Size{
		"1": 1, "4096": 4096, "512m": 512 << 20, "1.5g": 3 << 29, "1K": 1024, "2GiB": 2 << 30, "1t": 1 << 40, "1 mb": 1 << 20,
	}, "", "0", "-1", "x", "1x", "0x10", "inf", "nan", "0.1", "9999999999999g", "99999999999999999999")
}

func TestParseNetwork(t *testing.T) {
	parses(t, ParseNetwork, map[string]Network{
		"": "", "none": NetworkNone, "host": NetworkHost, "bridge": NetworkBridge, "cni:a.b-c_1": "cni:a.b-c_1",
	}, "None", "cni:", "cni:.", "cni:-a", "cni:../x", "cni:a/b", "cni:a\n", "cni:a\x00", "cni:cni:a", " host", "container:x")
}

func lookup(key string) (string, bool) { return "here=1", key == "SET" }

func TestParseEnv(t *testing.T) {
	for text, want := range map[string]string{"K=v": "v", "K=": "", "K=a=b": "a=b", "SET": "here=1", "K=\n": "\n"} {
		if _, value, err := ParseEnv(text, lookup); err != nil || value != want {
			t.Errorf("%q: %q, %v", text, value, err)
		}
	}
	for _, text := range []string{"", "=v", "UNSET"} {
		if key, value, err := ParseEnv(text, lookup); err == nil {
			t.Errorf("%q: %q %q", text, key, value)
		}
	}
}

// What is accepted holds what was said, and makes a spec that passes or is
// refused for a reason; nothing else comes of any text.
func FuzzFlags(f *testing.F) {
	for _, text := range []string{"a=r:/p", "/h:/c", "c:/p:ro", "K=v", "a:", ":", "=", "::", "a=b=c:/d:e", "\x00:/\xff", "30d", "1h30m", "/t:1.5g", "S=/f", "cni:a", "512m", "0.1k"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := Spec{Image: "i"}
		if in, err := ParseInput(text); err == nil {
			if again := in.Step + optional("=", in.Run) + optional(":", in.Path); again != text {
				t.Errorf("input %q was read as %q", text, again)
			}
			s.Inputs = append(s.Inputs, in)
		}
		if m, err := ParseMount(text); err == nil {
			if again := m.Host + ":" + m.Path; again != text {
				t.Errorf("mount %q was read as %q", text, again)
			}
			s.Mounts = append(s.Mounts, m)
		}
		if c, err := ParseCache(text); err == nil {
			if !strings.HasPrefix(text, c.Name+":"+c.Path) {
				t.Errorf("cache %q was read as %+v", text, c)
			}
			s.Caches = append(s.Caches, c)
		}
		if key, value, err := ParseEnv(text, lookup); err == nil && strings.Contains(text, "=") {
			if key+"="+value != text {
				t.Errorf("variable %q was read as %q, %q", text, key, value)
			}
			s.Env = map[string]string{key: value}
		}
		if secret, err := ParseSecret(text); err == nil {
			if again := secret.Name + optional("=", secret.File); again != text {
				t.Errorf("secret %q was read as %q", text, again)
			}
			s.Secrets = append(s.Secrets, secret)
		}
		if m, err := ParseTmpfs(text); err == nil {
			if path, size, sized := strings.Cut(text, ":"); m.Path != path || (m.Size != 0) != sized || m.Size < 0 {
				t.Errorf("tmpfs %q of %q was read as %+v", path, size, m)
			}
			s.Tmpfs = append(s.Tmpfs, m)
		}
		if n, err := ParseNetwork(text); err == nil {
			if string(n) != text || n.Attached() && strings.ContainsAny(text, "/\x00\n") {
				t.Errorf("network %q was read as %q", text, n)
			}
			s.Network = n
		}
		if n, err := ParseSize(text); err == nil {
			if again, err := ParseSize(strconv.FormatInt(int64(n), 10)); n <= 0 || err != nil || n < 1<<53 && again != n {
				t.Errorf("size %q is %d, and that is %d, %v", text, n, again, err)
			}
			s.Memory = n
		}
		if age, err := ParseAge(text); err == nil {
			if again, err := ParseAge(age.String()); age < 0 || err != nil || again != age {
				t.Errorf("age %q is %s, and that is %s, %v", text, age, again, err)
			}
			s.Timeout = Duration(age)
		}
		checked(t, &s)
	})
}

func optional(separator, text string) string {
	if text == "" {
		return ""
	}
	return separator + text
}
