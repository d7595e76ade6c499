package test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// What a line that begins a block becomes in the page's script, and a line that ends one. A
// heredoc begins after the whole line, so what follows it there is done with its file.
var blocks = map[string]struct{ begin, end string }{
	"sh":      {"", "[ $? = 0 ]"},
	"make":    {"cat >Makefile <<'" + endOfFile + "' && make", endOfFile},
	"yaml":    {"cat >pipeline.yaml <<'" + endOfFile + "' && pipex-pipeline >/dev/null", endOfFile},
	"yaml-ci": {},
	"json":    {"jq . >/dev/null <<'" + endOfFile + "'", endOfFile},
	"text":    {": <<'" + endOfFile + "'", endOfFile},
	"console": {": <<'" + endOfFile + "'", endOfFile},
}

const endOfFile = "END-OF-BLOCK"

// script turns a page into a shell script of the same line numbers: its blocks in their
// order, each as CONTRIBUTING.md says of its language.
func script(page string) (string, error) {
	var lines []string
	language, before := "", ""
	var config strings.Builder // of a CI service
	for i, line := range strings.Split(page, "\n") {
		text := line
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && language == "":
			language = fence
			block, known := blocks[language]
			if !known {
				return "", fmt.Errorf("line %d: a block of language %q; CONTRIBUTING.md says which there are", i+1, language)
			}
			line = block.begin
		case isFence:
			if line = blocks[language].end; language == "yaml-ci" {
				commands, err := commandsOf(config.String())
				if err != nil {
					return "", fmt.Errorf("line %d: %w", i+1, err)
				}
				line = "(set -e; " + strings.Join(commands, "; ") + ")"
				config.Reset()
			}
			language = ""
		case language == "":
			if strings.HasPrefix(line, "    ") && before == "" {
				return "", fmt.Errorf("line %d: an indented block; put it between ```LANGUAGE and ```", i+1)
			}
			line = ""
		case language == "yaml-ci":
			config.WriteString(line + "\n")
			line = ""
		case language == "sh":
			if command, fails := strings.CutSuffix(line, "# fails"); fails {
				line = "if " + command + "; then exit 1; fi"
			}
		}
		lines, before = append(lines, line), text
	}
	if language != "" {
		return "", fmt.Errorf("the last block does not end")
	}
	return strings.Join(lines, "\n"), nil
}

// commandsOf returns the commands that the configuration of a CI service runs, in their order:
// each line of run, script and after_script. The tests are root already.
func commandsOf(config string) (commands []string, err error) {
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(config), &root); err != nil {
		return nil, err
	}
	var visit func(n *yaml.Node, runs bool)
	visit = func(n *yaml.Node, runs bool) {
		if n.Kind == yaml.ScalarNode && runs {
			for line := range strings.Lines(n.Value) {
				commands = append(commands, strings.ReplaceAll(strings.TrimSpace(line), "sudo ", ""))
			}
		}
		for i, child := range n.Content {
			if n.Kind != yaml.MappingNode {
				visit(child, runs)
			} else if i%2 == 1 {
				key := n.Content[i-1].Value
				visit(child, key == "run" || key == "script" || key == "after_script")
			}
		}
	}
	visit(&root, false)
	if len(commands) == 0 {
		return nil, errors.New("no command in this configuration")
	}
	return commands, nil
}

// Every block of code in the pages does what its language promises when the page is pasted
// from top to bottom.
func TestPagesBlocks(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, "../CONTRIBUTING.md") {
		t.Run(filepath.Base(page), func(t *testing.T) {
			t.Parallel()
			if filepath.Base(page) == "rootless.md" { // its containerd is its own
				asNobody, err := filepath.Abs("bin/as-nobody")
				if err != nil {
					t.Fatal(err)
				}
				pasteTo(t, []string{asNobody}, page, t.TempDir(), "PATH="+path(verbs(t)))
				return
			}
			address, bin := containerd(t), verbs(t)
			dir := t.TempDir()
			t.Cleanup(func() { release(address, dir) })
			paste(t, page, dir, "PATH="+path(bin), "CONTAINERD_ADDRESS="+address, "MAKEFLAGS=-I"+site.scripts, "CONTAINERS_STORAGE_CONF="+storage(t))
		})
	}
	// It begins with a clone, and starts a containerd of its own.
	t.Run("README.md", func(t *testing.T) {
		t.Parallel()
		paste(t, "../README.md", clone(t))
	})
}

// storage returns a configuration by which buildah keeps nothing on the machine.
func storage(t *testing.T) string {
	dir := t.TempDir()
	file := filepath.Join(dir, "storage.conf")
	text := fmt.Sprintf("[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n", filepath.Join(dir, "graph"), filepath.Join(dir, "run"))
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return file
}

// paste runs a page's blocks in dir, with these variables beside those that all tests see.
func paste(t *testing.T, page, dir string, variables ...string) {
	t.Helper()
	pasteTo(t, []string{"sh", "-ev"}, page, dir, variables...)
}

// pasteTo is paste with another shell than sh.
func pasteTo(t *testing.T, shell []string, page, dir string, variables ...string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := script(string(text))
	if err != nil {
		t.Fatalf("%s: %v", page, err)
	}
	file := filepath.Join(t.TempDir(), filepath.Base(page))
	if err := os.WriteFile(file, []byte(lines), 0o666); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, shell[0], append(shell[1:], file)...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = dir, append(os.Environ(), variables...), time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", page, err, out)
	}
}

// clone returns a directory with the files of this source tree.
func clone(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	script := `cd .. && git ls-files -z --cached --others --exclude-standard | xargs -0 cp -a --parents -t "$0"`
	if _, err := output("sh", "-c", script, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A block is run or refused, never passed over.
func TestBlocksAreSeen(t *testing.T) {
	for page, want := range map[string]string{
		"a\n\n```sh\ntrue\n```\nb":            "\n\n\ntrue\n[ $? = 0 ]\n",
		"```text\n    a\n```":                 ": <<'" + endOfFile + "'\n    a\n" + endOfFile,
		"a\n    b\n":                          "\n\n",
		"```\na\n```":                         "line 1: ",
		"```yaml-ci\na: [{run: sudo x}]\n```": "\n\n(set -e; x)",
		"```yaml-ci\na: b\n```":               "line 3: ",
		"```ruby\na\n```":                     "line 1: ",
		"a\n\n    b\n":                        "line 3: ",
		"```sh\ntrue\n```\n```sh\n```\n":      "\ntrue\n[ $? = 0 ]\n\n[ $? = 0 ]\n",
		"```sh\nfalse # fails\n```":           "\nif false ; then exit 1; fi\n[ $? = 0 ]",
		"```sh\n":                             "the last block",
	} {
		got, err := script(page)
		if err != nil {
			got = err.Error()
			want, _, _ = strings.Cut(want, "\n")
			got = got[:min(len(got), len(want))]
		}
		if got != want {
			t.Errorf("%q: %q, want %q", page, got, want)
		}
	}
}
