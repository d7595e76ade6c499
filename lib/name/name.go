// Package name says what names and ids look like, and is where wrong usage becomes an
// error. It looks at nothing on disk.
package name

import (
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// maxName bounds a name, in bytes: well below what file systems take.
const maxName = 128

// Error says that a name does not have the form of a name.
type Error struct{ Kind, Name string }

func (e *Error) Error() string {
	return fmt.Sprintf("invalid %s name %q: 1 to 128 of A-Z a-z 0-9 _ -, not starting with -", e.Kind, e.Name)
}

// Check returns a [*Error] unless s can name a run, step, workspace or
// cache: nothing that a path, an option or a shell could read as something else. kind is the word for it in the message. Nothing on disk is looked at.
func Check(kind, s string) error {
	ok := len(s) > 0 && len(s) <= maxName && s[0] != '-'
	for i := 0; ok && i < len(s); i++ {
		c := s[i]
		ok = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
	}
	if !ok {
		return &Error{Kind: kind, Name: s}
	}
	return nil
}

// CheckAll returns a [*Error] for the first of names that is none.
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
// UUID (RFC 9562). Ids sort by age; they are unique in practice, and what
// claims one notices if it is not.
func NewID() string {
	return strconv.FormatInt(time.Now().UnixMilli(), 10) + "-" + uuid.NewString()[:8]
}
