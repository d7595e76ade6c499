package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mandoc finds nothing in the man pages, not even in their style.
func TestPagesAreClean(t *testing.T) {
	dir := t.TempDir()
	if err := write("..", dir, "2026-01-31"); err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "man*", "*"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	if out, err := exec.Command("mandoc", append([]string{"-Tlint", "-Wall"}, pages...)...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// whole has the sections of a program's page.
const whole = `# pipex-x(1)
## Name
pipex-x - does it
## Synopsis
## Description
## Options
## Output
## Exit status
## Examples
## See also
`

func TestPageThatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		whole:                 "",
		"# A guide\n\ntext\n": "",
		strings.Replace(whole, "## Output\n", "", 1):                       "the sections are",
		strings.Replace(whole, "## Output\n", "## Files\n", 1):             "the sections are",
		strings.Replace(whole, "## Output\n", "## Output\n## Advice\n", 1): "the sections are",
		strings.Replace(whole, "## Output\n", "## Output\n## Files\n", 1):  "the sections are",
		strings.Replace(whole, "## Examples", "## Files\n## Examples", 1):  "",
		strings.Replace(whole, "does it", "Does it", 1):                    `the text of "Name"`,
		strings.Replace(whole, "does it", "does it.", 1):                   `the text of "Name"`,
		strings.Replace(whole, "pipex-x - ", "pipex-y - ", 1):              `the text of "Name"`,
		strings.Replace(whole, "## Name", "lost\n## Name", 1):              "something stands",
		whole + "# again\n": "a second title",
		"# f(5)\n## Name\nf - a format\n## Keys\n## See also\n": "",
		"# f(5)\n## Keys\n## Name\nf - a format\n## See also\n": "the first section",
		"# f(5)\n## Name\nf - a format\n## Keys\n## More\n":     "the first section",
	} {
		_, err := parse([]byte(text))
		if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s\n%v, want %q", text, err, want)
		}
	}
}

// What a reader may paste comes out of the man page as it stands in the Markdown.
func TestTextStaysAsItIs(t *testing.T) {
	block := "a 'b' `c` \\d ^e ~f -g --h\n\n.i\n'j"
	text := strings.Replace(whole, "## Examples\n", "## Examples\n\n```sh\n"+block+"\n```\n", 1)
	text = strings.Replace(text, "## Options\n", "## Options\n\n**--a-b**, *C-D*\n: see `e'f`, [x](pipex-x.md#name), [pipex-y](pipex-y.md) and [a guide](guide.md#it)\n\n"+
		"| K | V |\n|---|---|\n| 'k' | v |\n", 1)
	p, err := parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	y := &page{name: "pipex-y", section: "7"}
	file := filepath.Join(t.TempDir(), "pipex-x.1")
	if err := os.WriteFile(file, p.roff(map[string]*page{"pipex-x.md": p, "pipex-y.md": y}, "2026-01-31"), 0o666); err != nil {
		t.Fatal(err)
	}
	shown, err := exec.Command("sh", "-c", "mandoc -Tutf8 "+file+" | col -bx").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"--a-b, C-D\n", "see e'f, pipex-x(1), pipex-y(7) and a guide (guide.md)\n", "'k'    v\n",
		strings.ReplaceAll("\n"+block, "\n", "\n           "),
	} {
		if !bytes.Contains(bytes.ReplaceAll(shown, []byte("\n\n"), []byte("\n           \n")), []byte(want)) {
			t.Errorf("no %q in\n%s", want, shown)
		}
	}
}
