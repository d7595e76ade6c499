package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"pipex/lib/cli"
	"pipex/lib/name"
	"pipex/lib/pull"
)

// imported is a result of import as JSON.
type imported struct {
	Name      string   `json:"name"`
	Digest    string   `json:"digest"`
	Platforms []string `json:"platforms"`
}

func load(c *cli.Call) (int, error) {
	if err := c.Operands(1, 2); err != nil {
		return 0, err
	}
	if c.Command != nil {
		return 0, name.Usage("import takes no command: the image has its own")
	}
	path, name := c.Args[0], ""
	if len(c.Args) == 2 {
		name = c.Args[1]
		if _, err := pull.CheckName(name); err != nil {
			return 0, err
		}
	}
	if err := connect(c); err != nil {
		return 0, err
	}
	failed := func(err error) error {
		if errors.Is(err, pull.ErrNoName) {
			err = fmt.Errorf("%w; give it one: pipex-image import %s NAME", err, path)
		}
		if path == "-" {
			return fmt.Errorf("cannot import standard input: %w", err)
		}
		return fmt.Errorf("cannot import %q: %w", path, err)
	}
	var from io.ReadCloser = os.Stdin
	if path != "-" {
		var err error
		if from, _, err = pull.Open(path); err != nil {
			return 0, failed(err)
		}
	}
	defer from.Close()
	all, err := pull.Import(c.Context.Context, c.Place().Containerd, from, name)
	if err != nil {
		return 0, failed(err)
	}
	for _, i := range all {
		if !i.Native {
			c.Say("%q is for %s, and this machine is %s/%s", i.Name, strings.Join(i.Platforms, ", "), runtime.GOOS, runtime.GOARCH)
		}
		if err := c.Print(imported{i.Name, i.Digest, i.Platforms}, i.Name); err != nil {
			return 0, err
		}
	}
	return 0, nil
}
