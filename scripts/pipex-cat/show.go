package main

import (
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"pipex/lib/cli"
	"pipex/lib/workspace"
)

// show prints a file or lists a directory.
func show(r workspace.Run, path string) error {
	f, err := r.OpenArtifact(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return list(f)
	}
	_, err = io.Copy(os.Stdout, f)
	return err
}

func list(dir *os.File) error {
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return err
	}
	var text strings.Builder
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, e := range entries {
		text.WriteString(cli.Harmless(e.Name()))
		if e.IsDir() {
			text.WriteByte('/')
		}
		text.WriteByte('\n')
	}
	_, err = os.Stdout.WriteString(text.String())
	return err
}
