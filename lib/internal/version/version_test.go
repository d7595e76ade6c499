package version

import (
	"runtime"
	"strings"
	"testing"
)

// A test binary has no version of its own, and says so in a form that records hold.
func TestVersionOfABuildWithoutOne(t *testing.T) {
	if got := String(); got != "0.0.0-devel" {
		t.Errorf("%q", got)
	}
	if got := String(); got != String() {
		t.Errorf("another version each time")
	}
}

// The long form begins with the version and names Go; a program that does not talk to
// containerd names no client of it.
func TestLongVersion(t *testing.T) {
	parts := strings.Split(Long(), ", ")
	if parts[0] != String() || parts[len(parts)-1] != runtime.Version() || strings.Contains(Long(), "containerd") {
		t.Errorf("%q", parts)
	}
}
