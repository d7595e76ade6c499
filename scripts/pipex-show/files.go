package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io/fs"
	"strconv"

	"pipex/lib/cli"
	"pipex/lib/status"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

// file is an artifact as JSON.
type file struct {
	Path string `json:"path"`
	Type string `json:"type"` // file, directory, symlink or special
	Size int64  `json:"size"`
	Link string `json:"link,omitempty"`
}

// files prints the artifacts of a run.
func files(c *cli.Call, out *bufio.Writer, r workspace.Run) error {
	found, err := tree.List(c.Context.Context, r.Artifacts())
	step, state := "", status.Unreadable
	if m, err := r.Meta(); err == nil {
		step, state = m.StepID, m.Status
	}
	if step != "" {
		step = " of step " + strconv.Quote(step)
	}
	c.Say("run %q%s, %s: %s, %s", r.ID, step, cli.Harmless(string(state)), status.Count(found.Files(), "file"), status.Bytes(found.Bytes()))
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	for _, e := range found.Entries {
		if e.Path == "." {
			continue
		}
		f, size, end := file{Path: e.Path, Size: e.Size, Link: e.Link}, "-", ""
		switch {
		case e.Mode.IsRegular():
			f.Type, size = "file", strconv.FormatInt(e.Size, 10)
		case e.Mode.IsDir():
			f.Type, end = "directory", "/"
		case e.Mode&fs.ModeSymlink != 0:
			f.Type, end = "symlink", " -> "+e.Link
		default:
			f.Type = "special"
		}
		if c.Bool("json") {
			if err := lines.Encode(f); err != nil {
				return err
			}
		} else {
			fmt.Fprintf(out, "%12s  %s\n", size, cli.Harmless(e.Path+end))
		}
	}
	if err != nil {
		return fmt.Errorf("cannot list all files of run %q: %w", r.ID, err)
	}
	return nil
}
