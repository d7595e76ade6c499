// Package trace tells what a verb does and how long each part of it took, for
// whoever sets PIPEX_TRACE. It costs nothing to whoever does not.
package trace

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

var (
	mu  sync.Mutex
	out io.Writer
	// Start is when this process began to run its own code.
	start = time.Now()
)

// Init reads $PIPEX_TRACE: empty or 0 is off, 1 is stderr, anything else is the
// path of a file to append to.
func Init() error {
	switch dest := os.Getenv("PIPEX_TRACE"); dest {
	case "", "0":
	case "1":
		out = os.Stderr
	default:
		f, err := os.OpenFile(dest, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
		if err != nil {
			return fmt.Errorf("cannot trace to $PIPEX_TRACE: %w", err)
		}
		out = f
	}
	return nil
}

// Stderr turns tracing on, to stderr, unless $PIPEX_TRACE sends it elsewhere.
func Stderr() {
	if out == nil {
		out = os.Stderr
	}
}

// Region begins a part and returns the function that ends it, to be deferred
// or called; the part is told of when it ends.
func Region(format string, args ...any) func() {
	if out == nil {
		return func() {}
	}
	began := time.Now()
	return func() {
		line := fmt.Sprintf("%s[%d] %9.3fms +%.3fms %s\n", filepath.Base(os.Args[0]), os.Getpid(),
			ms(began.Sub(start)), ms(time.Since(began)), fmt.Sprintf(format, args...))
		mu.Lock()
		defer mu.Unlock()
		io.WriteString(out, line)
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
