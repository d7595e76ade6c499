package userns

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"pipex/lib/step"
)

// TestMain lets a test run its own binary in a user namespace of its own: there it says
// whether it is inside, and listens at a socket until its input ends.
func TestMain(m *testing.M) {
	socket := os.Getenv("LISTEN_AT")
	if socket == "" {
		os.Exit(m.Run())
	}
	if _, err := net.Listen("unix", socket); err != nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	os.Stdout.WriteString(strconv.FormatBool(Inside()) + "\n")
	io.Copy(io.Discard, os.Stdin)
}

// first takes the first range that is large enough, under the user's name or number,
// whatever else is in the file.
func TestFirstRange(t *testing.T) {
	for _, c := range []struct {
		text, name string
		uid        uint32
		want       uint32 // 0 for none
	}{
		{"a:100000:65536\n", "a", 1000, 100000},
		{"# comment\n\nb:1:65536\na:200000:65536\n", "a", 1000, 200000},
		{"a:100000:1000\na:300000:65536\n", "a", 1000, 300000},
		{"a:100000:65535\n", "a", 1000, 100000},
		{"a:100000:65534\n", "a", 1000, 0},
		{"1000:400000:65536\n", "a", 1000, 400000},
		{"10:400000:65536\nab:500000:65536\n", "a", 1, 0},
		{"a:100000:65536", "a", 1000, 100000},
		{"", "a", 1000, 0},
		{"", "root", 0, free},
		{"root:700000:65536\n", "root", 0, 700000},
		{"a:4294967290:65536\n", "a", 1000, 0},
		{"a:4294901760:65535\n", "a", 1000, 4294901760},
		{"a:0:65536\n", "a", 1000, 0},
		{"a:x:65536\na:600000:65536\n", "a", 1000, 600000},
		{"a:99999999999999999999:65536\n", "a", 1000, 0},
		{"a:x:65536\n", "a", 1000, 0},
		{"a:1\n", "a", 1000, 0},
	} {
		path := filepath.Join(t.TempDir(), "subuid")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := first(path, c.name, c.uid)
		if got != c.want || (err == nil) != (c.want != 0) {
			t.Errorf("%q for %s: %d, %v; want %d", c.text, c.name, got, err, c.want)
		}
		if uint64(got)+step.IDCount > 1<<32 {
			t.Errorf("%q: ids that there are not: %d", c.text, got)
		}
		if err != nil && !strings.Contains(err.Error(), "usermod --add-subuids") {
			t.Errorf("%q: the error says no way out: %v", c.text, err)
		}
	}
}

func TestFirstRangeWithoutFile(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	if got, err := first(none, "a", 1000); err == nil || !strings.Contains(err.Error(), none) {
		t.Errorf("%d, %v", got, err)
	}
	if got, err := first(none, "root", 0); got != free || err != nil {
		t.Errorf("root: %d, %v", got, err)
	}
}

// Only root maps users; for root itself a range is found on any machine.
func TestMap(t *testing.T) {
	m, err := Map(0, 7)
	if os.Geteuid() != 0 {
		if err == nil {
			t.Errorf("%+v", m)
		}
		return
	}
	if err != nil || m.UID != 0 || m.GID != 7 || m.SubUID == 0 || m.SubGID == 0 {
		t.Errorf("%+v, %v", m, err)
	}
	if m, err := Map(1<<31-2, 0); err == nil {
		t.Errorf("a user of whom the machine knows nothing: %+v", m)
	}
}

// A process in a user namespace knows that it is in one, and is elsewhere for one that
// is not, by the socket at which it listens.
func TestInside(t *testing.T) {
	dir := t.TempDir()
	own := filepath.Join(dir, "own")
	l, err := net.Listen("unix", own)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if pid := listener(own); pid != os.Getpid() || elsewhere(pid) {
		t.Errorf("this process itself: %d", pid)
	}

	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "LISTEN_AT="+filepath.Join(dir, "theirs"))
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) {
		t.Skipf("no user namespaces here: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer stdin.Close()
	if said, err := bufio.NewReader(stdout).ReadString('\n'); said != "true\n" {
		t.Fatalf("it is inside: %q, %v", said, err)
	}
	if pid := listener(filepath.Join(dir, "theirs")); pid != cmd.Process.Pid || !elsewhere(pid) {
		t.Errorf("process %d listens and is elsewhere: %v; want %d", pid, elsewhere(pid), cmd.Process.Pid)
	}
}

// What does not listen is nobody's socket.
func TestListenerOfNoSocket(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, file + ".none", "", strings.Repeat("/x", 100)} {
		if pid := listener(path); pid != 0 {
			t.Errorf("%q: %d", path, pid)
		}
	}
	if elsewhere(1 << 30) {
		t.Error("a process that there is not is elsewhere")
	}
}

// Root joins nothing, and there is nothing to join where nobody listens.
func TestJoinsNothing(t *testing.T) {
	if err := Join(filepath.Join(t.TempDir(), "none")); err != nil {
		t.Error(err)
	}
}
