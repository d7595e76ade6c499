package step

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"pipex/lib/name"
)

func readEnv(t *testing.T, text string) (map[string]string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	return env, ReadEnvFile(path, env)
}

func TestReadEnvFile(t *testing.T) {
	for text, want := range map[string]map[string]string{
		"":                          {},
		"\n\n A=1\n\n\n":            {"A": "1"},
		"A=1":                       {"A": "1"},
		"\ufeffA=1\nB = 2 \n\t C=3": {"A": "1", "B": "2", "C": "3"},
		"A=1\r\n# c\r\n\r\nB='x\r\ny'\r\nC=2\r\n": {"A": "1", "B": "x\ny", "C": "2"},
		"export A=1\nexport\t B=2\nexport=3":      {"A": "1", "B": "2", "export": "3"},
		"a.b-c_D=1\n1A=2":                         {"a.b-c_D": "1", "1A": "2"},
		"A=\nB= \nC=''\nD=\"\" # none\nE= # e":    {"A": "", "B": "", "C": "", "D": "", "E": ""},
		"# c\n  #A=1\nC=v # x # y\nD=v\t#x":       {"C": "v", "D": "v"},
		"A='a # b' # c\nB=\"#\"\nC=`#`#d":         {"A": "a # b", "B": "#", "C": "#"},
		"A='a\nb'\nB=\"c\n#d\n\"\nC=`e'f\"`\nD=1": {"A": "a\nb", "B": "c\n#d\n", "C": "e'f\"", "D": "1"},
		`A="a\nb\rc"` + "\n" + `B='a\nb\t\\x'`:    {"A": "a\nb\rc", "B": `a\nb\t\\x`},
		`A='C:\dir\new'` + "\n" + `B=C:\new`:      {"A": `C:\dir\new`, "B": `C:\new`},
		"A=it's\nB=a\"b\"\nC={\"a\": \"b\"}":      {"A": "it's", "B": "a\"b\"", "C": "{\"a\": \"b\"}"},
		"A=1\nA=2":                                {"A": "2"},
		"A=$B ${B}\nB=\"$A\"":                     {"A": "$B ${B}", "B": "$A"},
		"A=b=c\nURL=http://x/y?z=1":               {"A": "b=c", "URL": "http://x/y?z=1"},
		"A=é 日本":                                  {"A": "é 日本"},
	} {
		if got, err := readEnv(t, text); err != nil || !maps.Equal(got, want) {
			t.Errorf("%q: %q, %v; not %q", text, got, err, want)
		}
	}
}

// What dotenv and docker read in two ways, and what is no variable, is refused with its line.
func TestReadEnvFileRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"A=1\nA":                               `env:2: not KEY=VALUE: "A"`,
		"=1":                                   `env:1: not KEY=VALUE`,
		"A B=1":                                `env:1: not KEY=VALUE`,
		"A: 1":                                 `env:1: not KEY=VALUE`,
		"é=1":                                  `env:1: not KEY=VALUE`,
		"export A":                             `env:1: not KEY=VALUE`,
		"[section]":                            `env:1: not KEY=VALUE`,
		"A=1\n\nB=val#x":                       `env:3: B: a # that may begin a comment`,
		"A=#x":                                 `env:1: A: a # that may`,
		"A=\"open\nB=2\n":                      `env:1: A: the " of the value is not closed`,
		"A='x' y":                              `env:1: A: "y" after the closing '`,
		"A='it''s'":                            `env:1: A: "'s'" after`,
		`A="say \"x\""`:                        `env:1: A: \"`,
		`A='it\'s'`:                            `env:1: A: \'`,
		`A="a\tb"`:                             `env:1: A: \t in double quotes`,
		`A="a\\b"`:                             `env:1: A: \\ in double quotes`,
		`A="a\é"`:                              `env:1: A: \é in double quotes`,
		"A=1\nB=\x00":                          `env:2: a NUL byte`,
		"A='1\nB\x00'":                         `env:1: A: a NUL byte`,
		"A=1\rB=2":                             `env:1: a carriage return`,
		"A=\xff":                               `env:1: not UTF-8`,
		"\xff\xfeA\x00=\x001\x00":              `env:1: a NUL byte`,
		"A=" + strings.Repeat("x", maxEnvFile): `env:1: an env file of more than 1 MiB`,
	} {
		env, err := readEnv(t, text)
		var usage *name.UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), want) || strings.ContainsAny(err.Error(), "\x00\n\r") || len(env) > 0 {
			t.Errorf("%.40q: %v, %q; not %s", text, err, env, want)
		}
	}
	env := map[string]string{}
	if err := ReadEnvFile(t.TempDir(), env); err == nil {
		t.Error("a directory was read")
	}
	if err := ReadEnvFile("/dev/zero", env); err == nil {
		t.Error("/dev/zero was read")
	}
	if err := ReadEnvFile("none", env); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestReadEnvFileAdds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(path, []byte("A=new"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"A": "old", "B": "old"}
	if err := ReadEnvFile(path, env); err != nil || !maps.Equal(env, map[string]string{"A": "new", "B": "old"}) {
		t.Error(env, err)
	}
}

func FuzzEnvFile(f *testing.F) {
	for _, text := range []string{"A=1\nB=2\n", "# x\n\n", "\ufeffA=1", "A", "=", "A=\x00", "A='1\r\n'\r\n", "A=\"\\n\\", "A= #", strings.Repeat("x", 700) + "=1"} {
		f.Add(text)
	}
	key := regexp.MustCompile(`^[\w.-]+$`)
	path := filepath.Join(f.TempDir(), "env")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		env := map[string]string{}
		if err := ReadEnvFile(path, env); err != nil {
			if len(env) > 0 || strings.ContainsAny(err.Error(), "\x00\n\r") {
				t.Errorf("%q: %v, %q", text, err, env)
			}
			return
		}
		for k, value := range env {
			if !key.MatchString(k) || strings.Contains(value, "\x00") {
				t.Errorf("%q=%q was read from %q", k, value, text)
			}
		}
	})
}

// A quote that is never closed is refused at once, however long the file is.
func TestEnvFileQuoteOverManyLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(path, []byte("K='"+strings.Repeat("\n", maxEnvFile-8)), 0o600); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	err := ReadEnvFile(path, map[string]string{})
	if err == nil || time.Since(start) > 5*time.Second {
		t.Errorf("%v, after %v", err, time.Since(start))
	}
}
