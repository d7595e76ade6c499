package cli

import (
	"os"
	"runtime"
	"runtime/debug"
)

// putOffCollection lets the heap grow to 8 MiB instead of 4 before the first garbage
// collection: most calls of a verb end before that. A collection would take a quarter of
// exec's own work, since it starts threads. The later ones come as usual.
func putOffCollection() {
	if os.Getenv("GOGC") != "" {
		return // as the caller wants it
	}
	debug.SetGCPercent(200)
	first := new(struct{ *int }) // collected by the first one
	runtime.SetFinalizer(first, func(any) { debug.SetGCPercent(100) })
}
