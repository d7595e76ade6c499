package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

const (
	// instructionsFile holds how many instructions each start takes, as a multiple of those of a
	// Go program that does nothing, for the Go release that its first line names.
	instructionsFile = "../testdata/instructions"
	// instructionsSpread is how much more a start may take. The least of three counts of the same
	// program repeats within 2 per cent, on a busy machine too: a thread more or less.
	instructionsSpread = 1.1
)

// starts are the calls that are counted. Each must be quick: a step of a build makes several.
var starts = []string{
	"pipex-prepare --version", "pipex-exec --version", "pipex-commit --version", "pipex-discard --version", "pipex-link --version", "pipex-prune --version",
	"pipex-step --help", "pipex-pipeline --version", "pipex-show --version", "pipex-link s", "pipex-prepare --step s",
}

// A start takes no more instructions than it did: a package that is linked for nothing, or a
// table that is built in every program, is seen here. Times would depend on the machine.
func TestInstructions(t *testing.T) {
	t.Parallel()
	if raced || testing.CoverMode() != "" {
		t.Skip("what is counted is what is shipped: no race detector, no coverage")
	}
	// A release of Go for a patch changes too little to matter.
	version := strings.Join(strings.SplitN(runtime.Version(), ".", 3)[:2], ".") + " " + runtime.GOARCH
	recorded, of := readInstructions(t)
	update := os.Getenv("PIPEX_INSTRUCTIONS") == "update"
	if !update && of != version {
		t.Skipf("%s has the instructions of %s, this is %s: make instructions", instructionsFile, of, version)
	}
	valgrind, err := exec.LookPath("valgrind")
	if err != nil {
		t.Skip("no valgrind on PATH; make test-deps installs it")
	}
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	count := instructionCounter(t, valgrind, bin, dir)
	bare := count(bareProgram(t, dir))
	text := "# " + version + "; make instructions writes this file\n"
	for _, call := range starts {
		words := strings.Fields(call)
		words[0] = filepath.Join(bin, words[0])
		times := float64(count(words...)) / float64(bare)
		text += fmt.Sprintf("%5.1f %s\n", times, call)
		if had, ok := recorded[call]; !update && (!ok || times > had*instructionsSpread) {
			t.Errorf("%s: %.1f times the instructions of a program that does nothing, where it was %.1f; find out why (GODEBUG=inittrace=1, valgrind --tool=callgrind), or keep the new counts: make instructions", call, times, had)
		}
	}
	if update {
		if err := os.WriteFile(instructionsFile, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// instructionCounter returns a function that counts the instructions of a program: the least of three runs.
// They are in a workspace where the step s is linked.
func instructionCounter(t *testing.T, valgrind, bin, dir string) func(words ...string) int {
	// Valgrind may not know RDTSCP, which Go's runtime uses where two threads want one lock.
	env := []string{"HOME=" + dir, "PATH=" + bin + ":/usr/bin:/bin", "GOMAXPROCS=1", "GOGC=off", "GODEBUG=asyncpreemptoff=1,cpu.rdtscp=off"}
	run := func(words ...string) []byte {
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Dir, cmd.Env = dir, env
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", strings.Join(words, " "), err, out)
		}
		return out
	}
	run("/bin/sh", "-c", "run=$(pipex-prepare --step s) && echo >workdir/default/staging/$run/artifacts/f && pipex-link s $(pipex-commit --allow-failure $run)")
	collected := regexp.MustCompile(`Collected : (\d+)`)
	return func(words ...string) int {
		least := 0
		for range 3 {
			found := collected.FindSubmatch(run(append([]string{valgrind, "--tool=callgrind", "--fair-sched=yes", "--callgrind-out-file=/dev/null"}, words...)...))
			if found == nil {
				t.Fatal("valgrind counts nothing")
			}
			if n, _ := strconv.Atoi(string(found[1])); least == 0 || n < least {
				least = n
			}
		}
		return least
	}
}

// bareProgram builds a Go program that does nothing but print.
func bareProgram(t *testing.T, dir string) string {
	source := filepath.Join(dir, "bare.go")
	if err := os.WriteFile(source, []byte("package main\n\nimport \"os\"\n\nfunc main() { os.Stdout.WriteString(\"x\\n\") }\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, "bare"), source)
	cmd.Env = append(site.caller, "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return filepath.Join(dir, "bare")
}

// readInstructions returns what is recorded, and the Go release that it is for.
func readInstructions(t *testing.T) (recorded map[string]float64, version string) {
	data, err := os.ReadFile(instructionsFile)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	recorded = map[string]float64{}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if first, ok := strings.CutPrefix(line, "# "); ok {
			version, _, _ = strings.Cut(first, ";")
			continue
		}
		times, call, _ := strings.Cut(line, " ")
		if recorded[call], err = strconv.ParseFloat(times, 64); err != nil {
			t.Fatalf("%s: %q: %v", instructionsFile, line, err)
		}
	}
	return recorded, version
}
