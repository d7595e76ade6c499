// pipex-progress draws the progress of another program on a terminal.
package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/signal"
	"syscall"

	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/progress"
)

func main() {
	// The program that writes here says when it ends: this one clears the line first.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	cli.Main(cli.Verb{
		Name:     "pipex-progress",
		Synopsis: []string{"[OPTION]..."},
		About: "Read from standard input how far some work has come, an object of JSON a line, and draw the\n" +
			"last one in one line of the terminal that is stderr. At the end of the input the line is cleared.\n" +
			"The other programs start this one when their work takes long.",
		Flags:    []ucli.Flag{&ucli.StringFlag{Name: "name", Usage: "the `NAME` of the program whose work it is", Value: "pipex-progress"}},
		Examples: []string{`(for i in 1 2 3; do echo '{"what":"waiting","unit":"second","done":'$i',"of":3}'; sleep 1; done) | pipex-progress`},
		Plain:    true,
		Do:       draw,
	})
}

// maxLine is the greatest length of a line of the input, in bytes.
const maxLine = 64 << 10

func draw(c *cli.Call) (int, error) {
	if err := c.Operands(0, 0); err != nil {
		return 0, err
	}
	d := &drawing{to: os.Stderr, name: c.String("name")}
	defer d.clear()
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var s progress.State
		if json.Unmarshal(lines.Bytes(), &s) == nil {
			d.draw(s)
		}
	}
	return 0, lines.Err()
}
