// pipex-cat prints a file that a run has produced, or lists a directory.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"pipex/lib/cli"
	"pipex/lib/name"
)

func main() {
	cli.Main(cli.Verb{
		Name:     "pipex-cat",
		Synopsis: []string{"[OPTION]... [WORKSPACE] STEP|RUN [PATH]"},
		About: "Print the file PATH of what a run has produced, byte for byte. If PATH is a directory, or\n" +
			"without PATH, list it: a name a line, with / after a directory's; control characters are\n" +
			"shown as ?. STEP means its newest run. A symlink is followed only within the artifacts.",
		Examples: []string{"pipex-cat count n", "pipex-cat count sub/dir"},
		Plain:    true,
		Do:       cat,
	})
}

func cat(c *cli.Call) (int, error) {
	if err := c.Operands(1, 3); err != nil {
		return 0, err
	}
	r, rest, err := c.RunOperand(1)
	if err != nil {
		return 0, err
	}
	path := "."
	if len(rest) > 0 {
		path = rest[0]
	}
	if !filepath.IsLocal(path) {
		return 0, name.Usage("%q is not a path in the artifacts: it is empty, absolute, or leads out of them", path)
	}
	err = show(r, path)
	if errors.Is(err, fs.ErrNotExist) {
		c.Fail(fmt.Errorf("run %q has no artifact %q; pipex-show %s lists what it has", r.ID, path, r.ID))
		return cli.StatusNo, nil
	}
	if err != nil {
		return 0, fmt.Errorf("cannot print %q of run %q: %w", path, r.ID, err)
	}
	return 0, nil
}
