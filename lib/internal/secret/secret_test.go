package secret

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"pipex/lib/step"
)

// TestMain lets a test run its own binary as the program in a container. With $IN set
// it mounts a file system of $TYPE where secrets are, in a root file system of its own,
// and says when it has.
func TestMain(m *testing.M) {
	if os.Args[0] == Program {
		Main(os.Args[1:])
	}
	if root := os.Getenv("IN"); root != "" {
		err := errors.Join(
			unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
			unix.Mount("secrets", filepath.Join(root, step.SecretsPath), os.Getenv("TYPE"), 0, "mode=0755"),
			unix.Chroot(root))
		if err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Stdout.WriteString("ready\n")
		os.Stdin.Read(make([]byte, 1))
		return
	}
	os.Exit(m.Run())
}

// program runs [Main] with args and returns its status and what it says.
func program(args ...string) (status int, stdout, stderr string) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = append([]string{Program}, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "KEPT=1"}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Run()
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// Without secrets nothing comes before the command.
func TestArgs(t *testing.T) {
	if got := Args(nil); len(got) != 0 {
		t.Errorf("%q", got)
	}
	names := []string{"A", "B"}
	if got := Args(names); !slices.Equal(got, []string{Program, "A", "B", "--"}) || !slices.Equal(names, []string{"A", "B"}) {
		t.Errorf("%q of %q", got, names)
	}
}

// The program becomes the command, whose arguments and status are its own, a second
// -- included.
func TestMainBecomesTheCommand(t *testing.T) {
	status, stdout, stderr := program("--", "sh", "-c", `printf '%s|' "$KEPT" "$@"; exit 7`, "sh", "--", "a b", "")
	if status != 7 || stdout != "1|--|a b||" || stderr != "" {
		t.Errorf("%d, %q, %q", status, stdout, stderr)
	}
}

// The statuses are env(1)'s, and the reason is one line.
func TestMainFails(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("#!/no/such/interpreter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"--"}, 125, "no command"},
		{nil, 125, "no command"},
		{[]string{"NO_SUCH_SECRET", "--", "true"}, 125, `secret "NO_SUCH_SECRET"`},
		{[]string{"--", "no-such-command"}, 127, `"no-such-command": no such command`},
		{[]string{"--", "/no/such/command"}, 127, `"/no/such/command": no such command`},
		{[]string{"--", ""}, 127, `"": no such command`},
		{[]string{"--", file}, 126, "not executable"},
		{[]string{"--", dir}, 126, "not executable"},
	} {
		status, stdout, stderr := program(c.args...)
		if status != c.status || stdout != "" || !strings.Contains(stderr, c.says) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: %d, %q, %q", c.args, status, stdout, stderr)
		}
	}
}

// container starts a process with a root file system of its own, which has a file system
// of that type at [step.SecretsPath], and returns its number and that path as we see it.
func container(t *testing.T, fs string) (pid int, dir string) {
	t.Helper()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, step.SecretsPath), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env, cmd.Stderr = []string{"IN=" + root, "TYPE=" + fs}, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	if _, err := stdout.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid, filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "root", step.SecretsPath)
}

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can do what this needs")
	}
}

// A secret is byte for byte what it was, and readable by its owner alone.
func TestPlace(t *testing.T) {
	needsRoot(t)
	pid, dir := container(t, "tmpfs")
	values := map[string][]byte{"EMPTY": nil, "BYTES": []byte("a\x00b\n\xff"), "LARGE": bytes.Repeat([]byte("x"), 1<<20)}
	if err := Place(pid, values, Owner{12345, 54321}, Owner{}); err != nil {
		t.Fatal(err)
	}
	for name, want := range values {
		path := filepath.Join(dir, name)
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		stat := info.Sys().(*syscall.Stat_t)
		if info.Mode() != 0o400 || stat.Uid != 12345 || stat.Gid != 54321 {
			t.Errorf("%s: %v of %d:%d", name, info.Mode(), stat.Uid, stat.Gid)
		}
	}
}

// A secret replaces nothing, and follows nothing that stands there.
func TestPlaceFollowsNothing(t *testing.T) {
	needsRoot(t)
	pid, dir := container(t, "tmpfs")
	target := filepath.Join(t.TempDir(), "target")
	if err := os.Symlink(target, filepath.Join(dir, "S")); err != nil {
		t.Fatal(err)
	}
	err := Place(pid, map[string][]byte{"S": []byte("value")}, Owner{}, Owner{})
	if err == nil || strings.Contains(err.Error(), "value") || !strings.Contains(err.Error(), `"S"`) {
		t.Errorf("%v", err)
	}
	if _, err := os.Lstat(target); err == nil {
		t.Error("the secret was written where a link leads")
	}
}

// Secrets never reach a disk: a file system that is not a tmpfs is refused, and so is a
// process that is gone.
func TestPlaceRefuses(t *testing.T) {
	needsRoot(t)
	pid, dir := container(t, "ramfs")
	values := map[string][]byte{"S": []byte("value")}
	if err := Place(pid, values, Owner{}, Owner{}); err == nil || !strings.Contains(err.Error(), "not in memory") {
		t.Errorf("another file system: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("something was written: %v, %v", left, err)
	}
	if err := Place(1<<30, values, Owner{}, Owner{}); err == nil {
		t.Error("no process: no error")
	}
}

// Where root of the container is somebody else here, the file is made as that user:
// in a directory that only that user can write to.
func TestPlaceAsRootOfAUserNamespace(t *testing.T) {
	needsRoot(t)
	dir := t.TempDir()
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chown(dir, 12345, 12345)); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := place(fd, "S", []byte("value"), Owner{23456, 23456}, Owner{34567, 34567}); !errors.Is(err, unix.EACCES) {
		t.Errorf("another user: %v", err)
	}
	if err := place(fd, "S", []byte("value"), Owner{23456, 23456}, Owner{12345, 12345}); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "S")); string(got) != "value" {
		t.Errorf("%q, %v", got, err)
	}
	var stat unix.Stat_t
	if err := unix.Stat(filepath.Join(dir, "S"), &stat); err != nil || stat.Uid != 23456 {
		t.Errorf("it belongs to %d, %v", stat.Uid, err)
	}
}

// A program that needs libraries does not run in every container; the error says what
// to do. What is no program is refused, too.
func TestCheckProgram(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"empty": "", "script": "#!/bin/sh\n", "cut": "\x7fELF"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := CheckProgram(path); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, path := range []string{"", dir, filepath.Join(dir, "none")} {
		if err := CheckProgram(path); err == nil {
			t.Errorf("%q: no error", path)
		}
	}
	for name, interpreter := range map[string]bool{"static": false, "dynamic": true} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, program64(interpreter), 0o700); err != nil {
			t.Fatal(err)
		}
		err := CheckProgram(path)
		if (err != nil) != interpreter || err != nil && !strings.Contains(err.Error(), "CGO_ENABLED=0") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// program64 is a program without instructions (elf(5)): a header, and a segment that
// names an interpreter or is loaded.
func program64(interpreter bool) []byte {
	kind := elf.PT_LOAD
	if interpreter {
		kind = elf.PT_INTERP
	}
	var b bytes.Buffer
	header := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1, Shentsize: 64,
	}
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS], header.Ident[elf.EI_DATA], header.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	binary.Write(&b, binary.LittleEndian, header)
	binary.Write(&b, binary.LittleEndian, elf.Prog64{Type: uint32(kind)})
	return b.Bytes()
}
