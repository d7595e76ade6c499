package name

import "fmt"

// UsageError says that a request is invalid. Nothing was changed.
type UsageError struct{ msg string }

func (e *UsageError) Error() string { return e.msg }

// Usage returns a [*UsageError]; its message is formatted as by [fmt.Sprintf].
func Usage(format string, args ...any) error {
	return &UsageError{fmt.Sprintf(format, args...)}
}
