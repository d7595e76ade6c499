package name

import "fmt"

// UsageError says that a request makes no sense as it stands. Nothing was touched.
type UsageError struct{ msg string }

func (e *UsageError) Error() string { return e.msg }

// Usage returns a [*UsageError] with a message as [fmt.Sprintf] makes it.
func Usage(format string, args ...any) error {
	return &UsageError{fmt.Sprintf(format, args...)}
}
