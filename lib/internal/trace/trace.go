// Package trace prints what a verb does and how long each part of it took. It costs nothing
// while it is off.
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
	// start is when this process initialized this package.
	start = time.Now()
)

// To turns tracing on: it prints one line per part to w. Only a main program calls it, before
// anything is traced.
func To(w io.Writer) { out = w }

// On reports whether tracing is on.
func On() bool { return out != nil }

// Region begins a part and returns the function that ends it and prints the line. Defer that
// function, so that a part which fails is traced as well.
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
