// Package name says what a valid name is, makes ids, finds the name that a misspelt one
// was meant to be, and defines the error for wrong usage. It touches no files and takes no locks.
package name

import (
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// maxName is the greatest length of a name, in bytes. File systems allow 255 bytes,
// which leaves room for suffixes.
const maxName = 128

// Error says that Name is not a valid name. Kind says what it was to name.
type Error struct{ Kind, Name string }

func (e *Error) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("invalid %s name %q: it is empty; is a variable not set?", e.Kind, e.Name)
	}
	if e.Kind == Workspace {
		return fmt.Sprintf("invalid workspace name %q: 1 to 128 of A-Z a-z 0-9 _ - and single dots, not starting with - or .", e.Name)
	}
	return fmt.Sprintf("invalid %s name %q: 1 to 128 of A-Z a-z 0-9 _ -, not starting with -", e.Kind, e.Name)
}

// Workspace is the kind of name that may have dots, as workspaces of @livingdata/pipex may.
const Workspace = "workspace"

// Check returns a [*Error] unless s is a valid name of a run, step, workspace or
// cache: 1 to 128 letters, digits, _ and -, not starting with -. Such names need no
// quoting in paths, options and shells. A [Workspace] may also have dots in it, but
// neither first nor two together. kind, such as "run", is used in the message. Check
// does not look at the disk.
func Check(kind, s string) error {
	ok := len(s) > 0 && len(s) <= maxName && s[0] != '-'
	for i := 0; ok && i < len(s); i++ {
		c := s[i]
		ok = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' ||
			c == '.' && kind == Workspace && i > 0 && s[i-1] != '.'
	}
	if !ok {
		return &Error{Kind: kind, Name: s}
	}
	return nil
}

// CheckAll returns a [*Error] for the first of names that is not valid.
func CheckAll(kind string, names []string) error {
	for _, s := range names {
		if err := Check(kind, s); err != nil {
			return err
		}
	}
	return nil
}

// NewID returns a new id for a run or a workspace: the time in milliseconds
// since the epoch, a hyphen, and the first 8 hexadecimal digits of a version 4
// UUID (RFC 9562). Ids sort by age. They are unique in practice; preparing a run
// under an id that is taken is an error.
func NewID() string {
	return strconv.FormatInt(time.Now().UnixMilli(), 10) + "-" + uuid.NewString()[:8]
}
