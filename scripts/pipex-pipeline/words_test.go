package main

import (
	"os"
	"slices"
	"testing"
)

func TestSplit(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("a b", nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		line   string
		static bool
		words  []string
	}{
		{`--image busybox -- sh -c 'echo $HOME; ls *'`, true, []string{"--image", "busybox", "--", "sh", "-c", "echo $HOME; ls *"}},
		{`--mount "a b:/c" 'it'\''s' a\ b "\$x\"\\\n" ''`, true, []string{"--mount", "a b:/c", "it's", "a b", `$x"\\n`, ""}},
		{`--env A='1 '"2"3`, true, []string{"--env", "A=1 23"}},
		{`a#b # c`, true, []string{"a#b"}},
		{`-- cat >out`, true, []string{"--", "cat"}},
		{`no*match [x] {a,b}`, true, []string{"no*match", "[x]", "{a,b}"}},
		{`--input a --env "D=$(date)" -- x`, false, []string{"--input", "a", "--env", `"D=$(date)"`, "--", "x"}},
		{`--input $A`, false, []string{"--input", "$A"}},
		{"--input `x`", false, []string{"--input", "`x`"}},
		{`--mount ~/x:/x`, false, []string{"--mount", "~/x:/x"}},
		{`--input a -- x | tee y`, false, []string{"--input", "a", "--", "x"}},
		{`--input a -- x; y`, false, []string{"--input", "a", "--", "x"}},
		{`--input a -- x &`, false, []string{"--input", "a", "--", "x"}},
		{`--input a && y`, false, []string{"--input", "a"}},
		{`'open`, false, nil},
		{`/de[v]`, false, []string{"/de[v]"}},
		{`'/de[v]' "/de*" /de\*`, true, []string{"/de[v]", "/de*", "/de*"}},
		{``, true, nil},
	} {
		words, static, _ := split(c.line)
		if static != c.static || !slices.Equal(words, c.words) {
			t.Errorf("%s: %q, %v", c.line, words, static)
		}
	}
}

func TestBroken(t *testing.T) {
	for line, want := range map[string]string{
		`-- sh -c 'echo it's >/output/a'`: "it ends without closing quote '",
		`-- sh -c "a`:                     `it ends without closing quote "`,
		`-- a >`:                          "> must be followed by a word",
		`-- diff <(a) <(b)`:               "", // SHELL may be bash
		`-- sh -c 'a'`:                    "",
		``:                                "",
	} {
		if got := broken(line); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}
