// pipex-complete prints what may stand where a command line of pipex is typed, for the completion
// of shells.
package main

import (
	"os"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/name"
)

// patience is how long a completion takes at most, whatever file system hangs: the one who types waits.
const patience = 6 * time.Second

func main() {
	cli.Main(cli.Verb{
		Name:     "pipex-complete",
		Synopsis: []string{"[OPTION]... -- PROGRAM [WORD]..."},
		About: "Print what the last WORD may become, for the completion of shells: each candidate, and\n" +
			"behind a tab what it is. PROGRAM is pipex or one of its programs. The options come from\n" +
			"the program's --help; steps, runs, workspaces, caches and images are those that there are.",
		Statuses: []string{
			"0    done, also without a candidate",
			"1    the word is the name of a file, or of a command, or nothing is known of it",
			"128  failed: the reason is on stderr",
			"129  wrong usage",
		},
		Flags:    []ucli.Flag{&ucli.BoolFlag{Name: "words", Usage: "print only the candidates, without what they are"}},
		Examples: []string{"pipex-complete -- pipex-logs --", "pipex-complete -- pipex show ''"},
		Command:  true,
		Plain:    true,
		Do:       complete,
	})
}

func complete(c *cli.Call) (int, error) {
	if len(c.Args) > 0 || len(c.Command) < 2 {
		return 0, name.Usage("the words of a command line stand after --: pipex-complete -- PROGRAM [WORD]...")
	}
	time.AfterFunc(patience, func() { os.Exit(cli.StatusNo) })
	l, err := parse(c.Command)
	if err != nil {
		return 0, err
	}
	found := l.complete(c)
	if found == nil {
		return cli.StatusNo, nil
	}
	var out strings.Builder
	for _, f := range found {
		if !strings.HasPrefix(f.word, l.word) {
			continue
		}
		out.WriteString(cli.Harmless(f.word))
		if !c.Bool("words") {
			out.WriteString("\t" + cli.Short(f.about, 80))
		}
		out.WriteByte('\n')
	}
	_, err = os.Stdout.WriteString(out.String())
	return 0, err
}
