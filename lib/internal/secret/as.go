package secret

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// as calls do with the file system user and group of who (setfsuid(2)), on a locked thread.
// If the thread cannot change back, it ends with its goroutine.
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
