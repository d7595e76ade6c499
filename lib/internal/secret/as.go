package secret

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// as calls do with the file system identity of another (setfsuid(2)), on a
// thread of its own: a thread that cannot be what it was again ends with its
// goroutine.
func as(who Owner, do func() error) error {
	if who.UID == os.Geteuid() {
		return do()
	}
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		unix.Setfsgid(who.GID)
		unix.Setfsuid(who.UID)
		result <- do()
	}()
	return <-result
}
