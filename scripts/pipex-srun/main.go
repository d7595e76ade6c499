// pipex-srun runs a pipex-exec on a node of a Slurm cluster: for PIPEX_EXEC.
package main

import (
	"fmt"
	"os"
	"strings"
	"unicode"

	"pipex/lib/cli/traced"
)

const help = `usage: pipex-srun pipex-exec [OPTION]... RUN

Runs pipex-exec, as pipex-step calls it, on a node of a Slurm cluster by srun: as a job, or in an
allocation as a job step. What the step asks for becomes the request: its memory, CPUs and timeout, and
its devices as generic resources. Its container is put below the control group of the job. Signals are passed
on to the command. The status is that of pipex-exec's own record, whatever srun returns. It is meant for
make PIPEX_EXEC=pipex-srun.

$PIPEX_SRUN is the command to use (srun), with options, separated by spaces. The variables
SLURM_* that are options of srun do not count: an allocation sets them for itself.

Exit status: that of pipex-exec; 125 it is lost, or has failed; 129 wrong usage.
`

// The statuses, as those of pipex-exec and of the verbs.
const (
	statusLost  = 125
	statusUsage = 129
)

func main() {
	traced.Begin("pipex-srun")
	args := os.Args[1:]
	if len(args) == 1 && (args[0] == "-h" || args[0] == "--help") {
		fmt.Print(help)
		os.Exit(0)
	}
	j, err := parse(args)
	if err != nil {
		say("wrong usage: %v; see pipex-srun --help", err)
		os.Exit(statusUsage)
	}
	status, err := j.do()
	if err != nil {
		say("%v", err)
	}
	if err := traced.End(status, status != 0); err != nil {
		say("warning: %v", err)
	}
	os.Exit(status)
}

// say prints a line for people. Control characters become "?".
func say(format string, args ...any) {
	line := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, fmt.Sprintf(format, args...))
	fmt.Fprintln(os.Stderr, "pipex-srun: "+line)
}
