package follow

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What is appended to a log while it is followed arrives byte for byte, from the
// offset on.
func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	before := []byte("before\n")
	if err := os.WriteFile(path, before, 0o600); err != nil {
		t.Fatal(err)
	}
	var want, got bytes.Buffer
	f, err := Start(path, int64(len(before)), KeepAll, &got)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		part := bytes.Repeat([]byte{byte(i), 0, '\n', 0xff}, i%600)
		want.Write(part)
		if _, err := log.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	f.Ended()
	last := []byte("written after the task had ended, without a line feed")
	want.Write(last)
	if _, err := log.Write(last); err != nil {
		t.Fatal(err)
	}
	log.Close()
	if err := f.Stop(); err != nil {
		t.Error(err)
	}
	if err := f.Stop(); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Errorf("%d bytes arrived of %d", got.Len(), want.Len())
	}
}

// A reader that goes away is no error; any other failure to write is.
func TestFollowWithoutReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	f, err := Start(path, 0, KeepAll, w)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Stop(); err != nil {
		t.Errorf("a closed pipe: %v", err)
	}
	f, err = Start(path, 0, KeepAll, full{})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Stop(); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("a full disk: %v", err)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// When a writer closes the log, that is told once all that it has written is copied.
func TestLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	f, err := Start(path, 0, KeepAll, &got)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := log.WriteString("text"); err != nil {
		t.Fatal(err)
	}
	<-f.Left() // it is watched from now on
	select {
	case <-f.Left():
		t.Error("told too early")
	case <-time.After(50 * time.Millisecond):
	}
	if _, err := log.WriteString(" and more"); err != nil {
		t.Fatal(err)
	}
	log.Close()
	<-f.Left()
	if got.String() != "text and more" {
		t.Errorf("%q was copied by then", got.String())
	}
	if err := f.Stop(); err != nil {
		t.Error(err)
	}
}

// That a writer closes the log is told also if the reader is gone.
func TestLeftWithoutReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Start(path, 0, KeepAll, full{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Stop()
	log, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := log.WriteString("more"); err != nil {
		t.Fatal(err)
	}
	<-f.Left()                        // it is watched from now on
	time.Sleep(50 * time.Millisecond) // until the follower has seen more
	log.Close()
	select {
	case <-f.Left():
	case <-time.After(10 * time.Second):
		t.Error("not told")
	}
}

// A short-lived task needs no inotify instance, which is slow to close, and a user who has no
// more of them can follow a log all the same.
func TestFollowWithoutInotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	f, err := Start(path, 0, KeepAll, &got)
	if err != nil {
		t.Fatal(err)
	}
	if n := instances(t); n > 0 {
		t.Errorf("%d instances", n)
	}
	if err := f.Stop(); err != nil || got.String() != "text" {
		t.Errorf("%q, %v", got.String(), err)
	}
	var all []int
	defer func() {
		for _, fd := range all {
			unix.Close(fd)
		}
	}()
	for {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		if err != nil {
			break
		}
		if all = append(all, fd); len(all) > 4096 {
			t.Skip("fs.inotify.max_user_instances is high")
		}
	}
	got.Reset()
	if f, err = Start(path, 0, KeepAll, &got); err != nil {
		t.Fatal(err)
	}
	<-f.Left()
	<-f.Left()
	if err := f.Stop(); err != nil || got.String() != "text" {
		t.Errorf("%q, %v", got.String(), err)
	}
}

// instances counts this process's inotify instances.
func instances(t *testing.T) (n int) {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, _ := os.Readlink(fd); strings.Contains(to, "inotify") {
			n++
		}
	}
	return n
}
