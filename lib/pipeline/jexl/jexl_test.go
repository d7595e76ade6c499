package jexl

import (
	"strings"
	"testing"
)

func lookup(key string) (string, bool) {
	value, ok := map[string]string{
		"CI": "true", "ZERO": "0", "EMPTY": "", "NODE_ENV": "production", "N": "5", "TEN": "10", "LIST": "a,b,c", "A": "1", "B": "b",
		"MY-VAR": "x", "Été": "é",
	}[key]
	return value, ok
}

func TestTrue(t *testing.T) {
	for _, expression := range []string{
		`env.CI`, ` env . CI `, "env.CI\n", `env.ZERO`, `env`, `!env.NOSUCH`, `!env.EMPTY`, `!!env.CI`,
		`env.NODE_ENV == "production"`, `env.NODE_ENV == 'production'`, `"production" == env.NODE_ENV`, `env.NODE_ENV != "x"`,
		`env.A && !env.C`, `env.C || env.B`, `(env.A == "1" || env.C) && env.B`, `env.A && env.C || env.B`,
		`env.N > 3`, `env.N >= 5`, `env.N <= 5`, `env.N < env.B`, `env.N == 5`, `env.N == 5.0`, `env.N == "5"`, `env.TEN < env.N`, `env.TEN > 9`, `env.EMPTY == 0`,
		`env.NOSUCH == null`, `env.NOSUCH == undefined`, `env.NOSUCH.MORE == null`, `env.A != null`, `env.X == env.Y`,
		`"b" in env.LIST`, `env.B in ["a", "b"]`, `!("z" in env.LIST)`, `5 in [1, 5]`, `!("5" in [5])`, `!("CI" in env)`,
		`env["MY-VAR"]`, `env["MY-VAR"] == "x"`, `env[env.B + "x"] == null`, `env['A'] == 1`, `env.Été == "é"`,
		`env.C ? env.EMPTY : env.B`, `env.A ? env.B : env.EMPTY`, `env.C ?: env.B`, `env.C ? 1 : env.EMPTY ? 0 : 2`,
		`env.N + 1 == "51"`, `env.N - 1 == 4`, `env.N * 2 == env.TEN`, `env.N + env.B == "5b"`, `1 + 2 * 3 == 7`, `7 // 2 == 3`, `7 % 4 == 3`, `2 ^ 3 == 8`, `9 / 3 == 3`, `-1 < 0`, `1 - 1 == 0`,
		`true`, `"false"`, `1`, `0.5`, `[]`, `[1, "a"][1] == "a"`, `env.LIST.length == 5`, `"a\"b" == 'a"b'`, `'\'' == "'"`, `"\\" == '\\'`,
		`!env.A == false`, `(!env.A) == env.ZERO`, `null <= null == false`,
	} {
		if got, err := True(expression, lookup); err != nil || !got {
			t.Errorf("%s: %v, %v", expression, got, err)
		}
	}
	for _, expression := range []string{
		`env.NOSUCH`, `env.EMPTY`, `!env.CI`, `env.N > 5`, `env.NOSUCH > 1`, `env.NOSUCH < 1`, `env.NOSUCH <= 0`, `env.NOSUCH == ""`, `env.NOSUCH == false`, `env.CI == true`,
		`false`, `0`, `""`, `null`, `undefined`, `env.A && env.C`, `env.A ? 0 : 1`, `env.B * 2`, `"z" in env.LIST`, `"a" in env.NOSUCH`, `env.toString`, `env.A.B`, `"a"[0]`, `[1][7]`, `[1][-1]`,
	} {
		if got, err := True(expression, lookup); err != nil || got {
			t.Errorf("%s: %v, %v", expression, got, err)
		}
	}
}

func TestSyntax(t *testing.T) {
	for expression, want := range map[string]string{
		"":                         "column 1: a value is wanted at the end",
		" ":                        "column 2: a value is wanted at the end",
		"env.":                     "column 5: a name is wanted after the point",
		"env.A ==":                 "column 9: a value is wanted at the end",
		"env.A === 1":              `column 9: "= 1" is not understood`,
		"env.A == 1 2":             `column 12: "2" is too much`,
		"CI":                       `column 1: "CI" is unknown; a variable is env.CI`,
		"env.A and env.B":          `column 7: "and" is too much`,
		"(env.A":                   `column 7: ")" is wanted`,
		"env[":                     "column 5: a value is wanted at the end",
		"env['A'":                  `column 8: "]" is wanted`,
		"[1 2]":                    `column 4: "," is wanted`,
		"env.A ? 1":                `column 10: ":" is wanted`,
		"env.A || env.B && env.C":  "column 16: || and then && can be read in two ways",
		`"a`:                       `column 1: "\"a" is not understood`,
		"env.A @ 1":                `column 7: "@ 1" is not understood`,
		"f(1)":                     `column 1: "f" is unknown`,
		"env.A | upper":            `column 7: "| upper" is not understood`,
		"{a: 1}":                   `column 1: "{a: 1}" is not understood`,
		"== 1":                     `column 1: "==" is no value`,
		"in":                       `column 1: "in" is unknown`,
		"env.A\x00":                `column 6: "\x00" is not understood`,
		"env.A == \xff":            `column 10: "\xff" is not understood`,
		strings.Repeat("(", 20000): "column 20001: a value is wanted",
		strings.Repeat("(", 1e6):   "it is longer than 65536 bytes",
	} {
		_, err := True(expression, lookup)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.40q: %v", expression, err)
		}
	}
}

// A panic that is not a syntax error is a mistake of ours: it must not pass for an
// expression that does not hold.
func TestPanicIsNotSwallowed(t *testing.T) {
	defer func() {
		if got := recover(); got != "broken" {
			t.Errorf("recovered %v", got)
		}
	}()
	holds, err := True("env.A", func(string) (string, bool) { panic("broken") })
	t.Errorf("it returned %v, %v", holds, err)
}

func FuzzTrue(f *testing.F) {
	f.Add(`env.A ? (env["B"] in ['x', 2.5]) : !env.C || 1 // 2 == -3`)
	f.Fuzz(func(t *testing.T, expression string) {
		if holds, err := True(expression, lookup); err != nil && holds {
			t.Error("an error, and true")
		}
	})
}
