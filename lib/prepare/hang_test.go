package prepare

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pipex/lib/step"
)

// hanging mounts a file system whose server never answers: each call for it hangs.
func hanging(t *testing.T) string {
	t.Helper()
	server, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	dir := filepath.Join(t.TempDir(), "hanging")
	ok(t, os.Mkdir(dir, 0o755))
	if err := unix.Mount("hanging", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", server.Fd())); err != nil {
		server.Close()
		t.Skip("needs root: ", err)
	}
	t.Cleanup(func() {
		ok(t, server.Close()) // ends the calls
		ok(t, unix.Unmount(dir, unix.MNT_DETACH))
	})
	return dir
}

// A file server that does not answer keeps prepare only until it is interrupted.
func TestHangingMount(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for _, cached := range []bool{false, true} {
		done, p := make(chan error, 1), nowhere(t)
		opt := Options{Cached: cached, Spec: step.Spec{Mounts: []step.Mount{{Host: hanging(t), Path: "/m"}}}}
		go func() {
			_, err := Prepare(ctx, p, opt)
			done <- err
		}()
		select {
		case err := <-done:
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error is %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("prepare hangs")
		}
	}
}
