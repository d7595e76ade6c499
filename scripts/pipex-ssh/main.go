// pipex-ssh runs a command on one of several hosts, by ssh: for PIPEX_EXEC, which carries pipex-exec.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode"

	"pipex/lib/cli/traced"
)

const help = `usage: pipex-ssh COMMAND [ARG]...
       pipex-ssh --hosts

Runs COMMAND on the least loaded of several hosts, by ssh, and exits with its status. It waits
until a host has a free slot. One connection to each host is kept for some minutes. A host that does
not answer is set aside for a minute, and another one is taken. Signals are passed on to a
pipex-exec. It is meant for make PIPEX_EXEC=pipex-ssh.

  --hosts    print each host, its slots in use and in all, and what is wrong with it

The hosts are those of $PIPEX_HOSTS, such as "node1 node2:8", with a number of slots or else one
for each processor; or those of the Slurm allocation that this is called in. $PIPEX_SSH is the
command to use (ssh), with options, separated by spaces. Hosts must not ask for a password.

Exit status: that of COMMAND; 255 the connection broke, or no host answers; 129 wrong usage.
`

// The statuses, as those of ssh and of the verbs.
const (
	statusLost  = 255
	statusUsage = 129
)

func main() {
	traced.Begin("pipex-ssh")
	status, err := do(os.Args[1:])
	if err != nil {
		say("%v", err)
	}
	if err := traced.End(status, status != 0); err != nil {
		say("warning: %v", err)
	}
	os.Exit(status)
}

func do(args []string) (int, error) {
	if len(args) == 1 && (args[0] == "-h" || args[0] == "--help") {
		fmt.Print(help)
		return 0, nil
	}
	list := len(args) == 1 && args[0] == "--hosts"
	if !list && (len(args) == 0 || strings.HasPrefix(args[0], "-")) {
		return statusUsage, errors.New("wrong usage: a COMMAND is wanted; see pipex-ssh --help")
	}
	pool, err := openPool()
	if err != nil {
		return statusLost, err
	}
	if list {
		return 0, pool.print(os.Stdout)
	}
	return pool.run(args)
}

// say prints a line for people. Control characters become "?".
func say(format string, args ...any) {
	line := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, fmt.Sprintf(format, args...))
	fmt.Fprintln(os.Stderr, "pipex-ssh: "+line)
}
