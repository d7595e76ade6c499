package workspace

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// name is the form of run, step, workspace and cache names: nothing that a
// path, a flag or a shell could read as something else.
var name = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]{0,127}$`)

// NameError says that a name does not have the form of a name.
type NameError struct{ Kind, Name string }

func (e *NameError) Error() string {
	return fmt.Sprintf("invalid %s name %q: 1 to 128 of A-Z a-z 0-9 _ -, not starting with -", e.Kind, e.Name)
}

// CheckName returns a [*NameError] unless s can name a run, step, workspace or
// cache. kind is the word for it in the message. Nothing on disk is looked at.
func CheckName(kind, s string) error {
	if !name.MatchString(s) {
		return &NameError{Kind: kind, Name: s}
	}
	return nil
}

// CheckNames returns a [*NameError] for the first of names that is none.
func CheckNames(kind string, names []string) error {
	for _, s := range names {
		if err := CheckName(kind, s); err != nil {
			return err
		}
	}
	return nil
}

// NewID returns a new id for a run or a workspace: the time in milliseconds
// since the epoch, a hyphen, and the first 8 hexadecimal digits of a version 4
// UUID (RFC 9562). Ids sort by age; they are unique in practice, and what
// claims one notices if it is not.
func NewID() string {
	return strconv.FormatInt(time.Now().UnixMilli(), 10) + "-" + uuid.NewString()[:8]
}
