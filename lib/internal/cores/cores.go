// Package cores says on how many processors the Go code of this process runs.
package cores

import (
	"runtime"
	"sync"
)

var (
	mu sync.Mutex
	// before is how many it was before One; zero if that is so again.
	before int
)

// One makes the process run on one processor until [All]. It is for a program that mostly
// waits for others: its goroutines pass small work on to each other, and on several processors
// each time a thread is woken for that, which is a tenth of such a program's CPU time.
func One() {
	mu.Lock()
	defer mu.Unlock()
	if n := runtime.GOMAXPROCS(1); n > 1 {
		before = n
	}
}

// All makes the process run on all processors that it may use, if One was called, and returns
// how many these are. Call it before work for all of them begins.
func All() int {
	mu.Lock()
	defer mu.Unlock()
	if before > 0 {
		runtime.GOMAXPROCS(before)
		before = 0
	}
	return runtime.GOMAXPROCS(0)
}
