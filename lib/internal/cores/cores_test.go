package cores

import (
	"runtime"
	"testing"
)

func TestOneAndAll(t *testing.T) {
	n := runtime.GOMAXPROCS(3)
	defer runtime.GOMAXPROCS(n)
	for range 2 {
		if got := All(); got != 3 || runtime.GOMAXPROCS(0) != 3 {
			t.Fatalf("all are %d, GOMAXPROCS %d, want 3", got, runtime.GOMAXPROCS(0))
		}
		One()
		One()
		if got := runtime.GOMAXPROCS(0); got != 1 {
			t.Fatalf("one is %d", got)
		}
	}
	if got := All(); got != 3 {
		t.Errorf("after two calls of One all are %d", got)
	}
}
