// Package lazy compiles regular expressions when they are first used. Compiled at package
// level, they are paid for at the start of every program that links the package.
package lazy

import (
	"regexp"
	"sync"
)

// Regexp returns a function that returns the compiled expression. The first call compiles
// it, and panics if it is invalid. The function is safe for concurrent use.
func Regexp(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
