package workspace

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pipex/lib/tree"
)

// seenDir is the directory of an open run with what prepare saw of each mount and source.
// Commit removes it.
const seenDir = "seen"

// KeepSeen writes what prepare saw of mounts and sources, by their host paths, to the
// directory of a run, for [Run.Seen]. The files are not synced: one that a power loss
// has damaged cannot be read.
func (ws *Workspace) KeepSeen(r Run, seen map[string]*tree.Stamps) error {
	for hostPath, stamps := range seen {
		err := os.MkdirAll(filepath.Join(r.Dir, seenDir), 0o777)
		if err == nil {
			err = os.WriteFile(r.seen(hostPath), stamps.Encode(), 0o666)
		}
		if err != nil {
			return fmt.Errorf("cannot note what %q contains: %w", hostPath, err)
		}
	}
	return nil
}

func (r Run) seen(hostPath string) string {
	return filepath.Join(r.Dir, seenDir, fmt.Sprintf("%x", sha256.Sum256([]byte(hostPath))))
}

// Seen returns what prepare saw of a mount or source of an open run.
func (r Run) Seen(hostPath string) (*tree.Stamps, error) {
	data, err := os.ReadFile(r.seen(hostPath))
	if err != nil {
		return nil, err
	}
	return tree.DecodeStamps(data)
}

// ChangedInput is a file of a mount or source that has changed after prepare saw it.
type ChangedInput struct {
	// Path is the path on the host, ContainerPath that in the container.
	Path          string `json:"path"`
	ContainerPath string `json:"containerPath"`
	// Change is added, removed or changed; see [tree.Change]. It is unknown if the mount
	// or source could not be looked at.
	Change string `json:"change"`
	// Reason says why not.
	Reason string `json:"reason,omitempty"`
}

// Unknown is the Change of a mount or source that could not be looked at.
const Unknown = "unknown"

// maxChanged is how many changed files a record lists. The others are counted: a mount
// may have any number.
const maxChanged = 100

// AddChanged adds to the record what a look has found. What an earlier look has found stays:
// an earlier exec may have read it.
func (m *Meta) AddChanged(changes []ChangedInput) {
	more := 0
	for _, c := range changes {
		switch {
		case slices.Contains(m.ChangedInputs, c):
		case len(m.ChangedInputs) < maxChanged:
			m.ChangedInputs = append(m.ChangedInputs, c)
		default:
			more++
		}
	}
	m.ChangedInputsMore = max(m.ChangedInputsMore, more)
}

// Changed describes in one line what has changed since the run was prepared, such as
// `"/src/a" (changed), "/src/b" (added) and 7 more`. It returns "" if nothing has.
func (m *Meta) Changed() string {
	const named = 3
	var list []string
	for _, c := range m.ChangedInputs[:min(named, len(m.ChangedInputs))] {
		what := c.Change
		if c.Reason != "" {
			what = "cannot be looked at: " + c.Reason
		}
		list = append(list, fmt.Sprintf("%q (%s)", c.Path, what))
	}
	text := strings.Join(list, ", ")
	if more := len(m.ChangedInputs) - len(list) + m.ChangedInputsMore; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// forget removes what prepare saw, which is of no use once the run is committed.
func (r Run) forget() error {
	err := os.RemoveAll(filepath.Join(r.Dir, seenDir))
	if pathError, ok := err.(*fs.PathError); ok {
		return fmt.Errorf("cannot remove %q: %w", pathError.Path, pathError.Err)
	}
	return err
}
