package oci

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/containerd/mount"
	"golang.org/x/sys/unix"
)

// volatileRoot makes the overlay of a container's root file system volatile, if it is an
// overlay.
func volatileRoot(mounts []mount.Mount) ([]mount.Mount, error) {
	if len(mounts) != 1 || mounts[0].Type != "overlay" {
		return mounts, nil
	}
	var err error
	mounts[0].Options, err = volatile(mounts[0].Options)
	return mounts, err
}

// volatile adds the option of that name to those of a writable overlay, where possible.
// Without it, unmounting the overlay syncs the whole file system that it writes to, with
// everything that other programs have written there. What a container writes to its root
// need not survive a power cut: exec starts with a new root when the machine was restarted.
//
// The kernel marks a volatile overlay in its work directory and refuses to mount one that
// is marked, since it cannot know of the restart. volatile removes the mark.
func volatile(options []string) ([]string, error) {
	var work string
	for _, option := range options {
		if dir, ok := strings.CutPrefix(option, "workdir="); ok {
			work = dir
		}
	}
	// Where the directory cannot be reached, the mark could not be removed later.
	if _, err := os.Stat(work); err != nil || !knowsVolatile() {
		return options, nil
	}
	if err := os.RemoveAll(filepath.Join(work, "work", "incompat", "volatile")); err != nil {
		return nil, fmt.Errorf("cannot use an overlay again: %w", err)
	}
	if slices.Contains(options, "volatile") {
		return options, nil
	}
	return append(slices.Clone(options), "volatile"), nil
}

// knowsVolatile reports whether the kernel has the option: Linux 5.10 and later.
var knowsVolatile = sync.OnceValue(func() bool {
	var u unix.Utsname
	var major, minor int
	if unix.Uname(&u) != nil {
		return false
	}
	n, _ := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor)
	return n == 2 && (major > 5 || major == 5 && minor >= 10)
})
