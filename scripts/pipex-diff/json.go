package main

import (
	"encoding/json"
	"fmt"
	"io"

	"pipex/lib/step"
	"pipex/lib/tree"
)

// line is a difference as JSON: of the step, the result or what was used, or an artifact's.
type line struct {
	Kind string `json:"kind"`
	step.Difference
}

type artifact struct {
	Kind string `json:"kind"` // artifact
	// Change is added, removed or changed.
	Change string `json:"change"`
	Path   string `json:"path"`
	Was    *entry `json:"was,omitempty"`
	Is     *entry `json:"is,omitempty"`
}

type entry struct {
	Type string `json:"type"` // file, directory, symlink or special
	Mode string `json:"mode"`
	Size int64  `json:"size"`
	Sum  string `json:"sha256,omitempty"`
	Link string `json:"link,omitempty"`
}

func asEntry(e tree.Entry) *entry {
	is := &entry{Type: kind(e.Mode), Mode: fmt.Sprintf("%04o", bits(e.Mode)), Size: e.Size, Link: e.Link}
	if e.Mode.IsRegular() {
		is.Sum = fmt.Sprintf("%x", e.Sum)
	}
	return is
}

// json prints an object for each difference; of a path there is one only.
func (d *comparison) json(out io.Writer) error {
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	for _, of := range []struct {
		kind string
		list []step.Difference
	}{{"step", d.step}, {"result", d.result}, {"used", d.used}} {
		for _, one := range of.list {
			if err := lines.Encode(line{of.kind, one}); err != nil {
				return err
			}
		}
	}
	for i, one := range d.artifacts {
		if i > 0 && d.artifacts[i-1].Path == one.Path {
			continue
		}
		a := artifact{Kind: "artifact", Change: "changed", Path: one.Path}
		if one.Kind != tree.Extra {
			a.Was = asEntry(one.Was)
		}
		if one.Kind != tree.Missing {
			a.Is = asEntry(one.Is)
		}
		switch one.Kind {
		case tree.Extra:
			a.Change = "added"
		case tree.Missing:
			a.Change = "removed"
		}
		if err := lines.Encode(a); err != nil {
			return err
		}
	}
	return nil
}
