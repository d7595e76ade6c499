package userns

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Inside reports whether this process is in a user namespace other than the initial one. Root
// there has no privileges outside it.
func Inside() bool {
	data, err := os.ReadFile("/proc/self/uid_map")
	all := strconv.FormatUint(1<<32-1, 10)
	return err == nil && strings.Join(strings.Fields(string(data)), " ") != "0 0 "+all
}

// Join executes the calling program again, as the same process, inside the user and mount
// namespaces of the containerd that listens at socket. It returns nil if there is nothing to
// join: the caller is root, nothing listens, or containerd is in the caller's own namespaces.
// It uses nsenter(1), since a process with several threads cannot join a user namespace
// (setns(2)). env are variables, as NAME=VALUE, for the program that is executed again: what
// the caller has found, as it may find something else where it is root.
func Join(socket string, env ...string) error {
	if os.Geteuid() == 0 {
		return nil
	}
	pid := listener(strings.TrimPrefix(socket, "unix://"))
	if pid == 0 || !elsewhere(pid) {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	nsenter, err := exec.LookPath("nsenter")
	if err != nil {
		return errors.New("cannot join the rootless containerd's user namespace: no nsenter on PATH; install util-linux")
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	// Entering a mount namespace sets the working directory to its root, so change back to
	// the current one by its path.
	args := append([]string{"nsenter", "--preserve-credentials", "--user", "--mount", "--target", strconv.Itoa(pid), "--",
		"/bin/sh", "-c", `cd -- "$1" && shift && exec "$@"`, "sh", dir, self}, os.Args[1:]...)
	return fmt.Errorf("cannot join the rootless containerd's user namespace: %w", syscall.Exec(nsenter, args, environ(env)))
}

// environ returns the environment with other values for some variables.
func environ(env []string) []string {
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		os.Setenv(name, value)
	}
	return os.Environ()
}

// listener returns the id of the process that listens at a socket (SO_PEERCRED of unix(7)); 0
// if it is not known.
func listener(socket string) int {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return 0
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0
	}
	var peer *unix.Ucred
	raw.Control(func(fd uintptr) { peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err != nil || peer == nil {
		return 0
	}
	return int(peer.Pid)
}

func elsewhere(pid int) bool {
	theirs, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/ns/user")
	ours, _ := os.Readlink("/proc/self/ns/user")
	return err == nil && theirs != ours
}
