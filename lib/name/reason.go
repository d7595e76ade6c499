package name

import (
	"errors"
	"io/fs"
)

// Reason is what went wrong with a path, without the path, for a message that names it
// already.
func Reason(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
