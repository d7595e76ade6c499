// pipex-step runs one step as a whole: it calls pipex-prepare, pipex-exec, pipex-commit
// and pipex-link, as a person would.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"unicode"

	"pipex/lib/cli/traced"
)

const help = `usage: pipex-step [OPTION...] STEP [PREPARE-OPTION...] [-- CMD [ARG...]]
       pipex-step [OPTION...] -f FILE [--input [ALIAS=]STEP]... [STEP [PREPARE-OPTION...]]

Runs one step as a whole: pipex-prepare, pipex-exec, pipex-commit, pipex-link. stdout
and stderr are the container's. If the step fails, its run stays open, and a line on
stderr says why and names the commands that show the run, enter and remove it. Before it,
the last lines that the step wrote are repeated, if they went elsewhere, or if make -j may
have mixed them with those of other steps. If a signal stops the step, the command gets
that signal, and the run is removed.

  -w, --workspace WS   --workdir DIR   --address SOCKET   --namespace NS
                    for all verbs; they may also stand after STEP
  -f, --file FILE   the step is in FILE, as in a pipeline's file; its id is STEP's default
  --input [ALIAS=]STEP  with -f, before STEP: ALIAS's input, at /input/ALIAS, is of STEP
  --ephemeral       print what the command prints, and remove the run
  -i                pass stdin to the command
  --retries N       try up to N times more, each time with a new run
  --exec COMMAND    execute the step elsewhere: COMMAND carries pipex-exec to another
                    machine, as $PIPEX_EXEC does for all steps
  --cache-from REF  with --cached: fetch the run of the same fingerprint from the
                    registry REF, if it has one; else $PIPEX_CACHE_FROM
  --infra-retries N  try up to N times more if such an exec is lost (2)
  --retry-delay S   wait S seconds before each further try (0)
  --allow-failure   also commit and link a run that failed, and exit 0
  --label           begin each line that the container prints with [STEP]
  -q, --quiet       do not say on stderr when the step starts and when it is done
  --stamp FILE      once the step is linked, write the run and $PIPEX_STAMP to FILE,
                    whose directory is created; and the digest of the artifacts to
                    FILE.output, if it has changed
  --tried FILE      touch FILE in any case; if the step fails, remove its stamp and
                    its link, and exit 0
  --tally WHAT      for pipex.mk: count the steps of one make

If nothing is heard of an exec elsewhere for $PIPEX_NODE_TIMEOUT (1m), it is lost.
If $PIPEX_EVENTS is set, a line of JSON is appended to that file for each event. With
--cached among the prepare options, a run with the same fingerprint is linked, and
nothing is executed.

Exit status: that of the container, 128+N if signal N ended it; that of the verb that
failed; 129 wrong usage.
`

// statusUsage and statusCannot are as those of the verbs.
const (
	statusUsage  = 129
	statusCannot = 128
)

func main() {
	traced.Begin("pipex-step")
	args, err := expand(os.Args[1:])
	if errors.Is(err, errFile) {
		os.Exit(status(err))
	}
	s := new(step)
	if err == nil {
		s, err = parse(args)
	}
	if s.help {
		fmt.Print(help)
		os.Exit(0)
	}
	if err != nil {
		say("wrong usage: %v; see pipex-step --help", err)
		os.Exit(statusUsage)
	}
	if err := findVerbs(); err != nil {
		say("%v", err)
		os.Exit(statusCannot)
	}
	endOnQuit()
	traced.Name("step "+s.name, "pipex.step", s.name)
	traced.Export()
	status := s.run()
	s.held.Release()
	if err := traced.End(status, status != 0); err != nil && !s.quiet {
		say("warning: %v", err)
	}
	os.Exit(status)
}

// say prints a line for people. Control characters, which a name may hold, become "?".
func say(format string, args ...any) {
	line := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, fmt.Sprintf(format, args...))
	fmt.Fprintln(os.Stderr, "pipex-step: "+line)
}

// findVerbs adds the directory of this program to PATH, after all others, and returns an
// error if a verb is still not on it.
func findVerbs() error {
	if self, err := os.Executable(); err == nil {
		os.Setenv("PATH", os.Getenv("PATH")+":"+filepath.Dir(self))
	}
	for _, verb := range []string{"prepare", "exec", "commit", "discard", "link"} {
		if _, err := exec.LookPath("pipex-" + verb); err != nil {
			return fmt.Errorf("cannot find pipex-%s on PATH", verb)
		}
	}
	return nil
}
