// Package secret passes secrets to a container without writing them to disk: as files in
// memory, and through a program inside the container that sets environment variables from
// these files.
package secret

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"pipex/lib/step"

	"golang.org/x/sys/unix"
)

// Program is the path in the container of the program that calls [Main]. /dev is a file system
// of the container's own, so nothing is added to its root file system.
const Program = "/dev/secret-env"

// Args returns the arguments to put before a command so that the secrets names become its
// environment variables; nil if there are none.
func Args(names []string) []string {
	if len(names) == 0 {
		return nil
	}
	return append(append([]string{Program}, names...), "--")
}

// Main is the main function of the program. Its arguments are those of [Args], followed by a
// command. It sets the variables and executes the command (execve(2)). If that fails it
// exits with the same status as env(1).
func Main(args []string) {
	for len(args) > 0 && args[0] != "--" {
		value, err := os.ReadFile(filepath.Join(step.SecretsPath, args[0]))
		if err == nil {
			err = os.Setenv(args[0], string(value))
		}
		if err != nil {
			end(125, "cannot use secret %q: %v", args[0], err)
		}
		args = args[1:]
	}
	if len(args) < 2 {
		end(125, "no command")
	}
	command := args[1:]
	path, err := exec.LookPath(command[0])
	if err == nil || errors.Is(err, exec.ErrDot) {
		err = syscall.Exec(path, command, os.Environ())
	}
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		end(127, "cannot run %q: no such command in the container", command[0])
	}
	end(126, "cannot run %q: not executable in the container", command[0])
}

func end(status int, format string, args ...any) {
	fmt.Fprintf(os.Stderr, "pipex-exec: "+format+"\n", args...)
	os.Exit(status)
}

// CheckProgram returns an error for a program that needs shared libraries, which a container
// may not have.
func CheckProgram(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%q is not linked statically and does not run in every container; build it with CGO_ENABLED=0", path)
		}
	}
	return nil
}

// Owner is the owner of a file, as ids of this process's user namespace.
type Owner struct{ UID, GID int }

// Place writes secrets to files in [step.SecretsPath] in the root file system of the process
// pid. Only owner can read them. The directory must be on a tmpfs, whose owner root is the
// only one who can write there. With a user namespace that is not the caller, so Place
// changes the thread's file system user to root while it writes.
func Place(pid int, values map[string][]byte, owner, root Owner) error {
	dir, err := openDir(pid)
	if err != nil {
		return fmt.Errorf("cannot reach %s in the container: %w", step.SecretsPath, err)
	}
	defer unix.Close(dir)
	for name, value := range values {
		if err := place(dir, name, value, owner, root); err != nil {
			return fmt.Errorf("cannot place secret %q in the container: %w", name, err)
		}
	}
	return nil
}

// openDir opens [step.SecretsPath], resolving symbolic links inside the container's root
// (openat2(2)). It is an error if the directory is not on a tmpfs.
func openDir(pid int) (int, error) {
	root, err := unix.Open(fmt.Sprintf("/proc/%d/root", pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(root)
	dir, err := unix.Openat2(root, strings.TrimPrefix(step.SecretsPath, "/"), &unix.OpenHow{
		Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return -1, err
	}
	var at unix.Statfs_t
	if err = unix.Fstatfs(dir, &at); err == nil && at.Type != unix.TMPFS_MAGIC {
		err = errors.New("it is not in memory")
	}
	if err != nil {
		unix.Close(dir)
		return -1, err
	}
	return dir, nil
}

func place(dir int, name string, value []byte, owner, root Owner) error {
	var fd int
	err := as(root, func() (err error) {
		fd, err = unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o400)
		return err
	})
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if _, err := f.Write(value); err != nil {
		return err
	}
	return f.Chown(owner.UID, owner.GID)
}
