package cli

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"pipex/lib/internal/endpoint"
)

// privateDir is where pipex-containerd start keeps a containerd, and addressFile what it
// writes its socket's path to, there.
const (
	privateDir  = ".pipex-containerd"
	addressFile = "address"
)

// containerd returns the socket to use, and what to type if no containerd answers there:
//
//   - that of --address or $CONTAINERD_ADDRESS
//   - that of the private containerd in $PIPEX_CONTAINERD_DIR
//   - that of the one which pipex-containerd start left beside the workdir or above it,
//     else in the current directory or above it, else in the caller's home
//   - without root, that of a rootless containerd of the caller's, where its own setup
//     puts it
//   - the machine's
func (c *Call) containerd() (address, start string) {
	own := "pipex-containerd start"
	if os.Geteuid() != 0 {
		own += " --rootless"
	}
	if v := c.String("address"); v != "" {
		return v, own + ", and leave out --address"
	}
	if v := os.Getenv("CONTAINERD_ADDRESS"); v != "" {
		return v, "unset CONTAINERD_ADDRESS; " + own
	}
	if dir := c.found.private; dir != "" {
		address, _ := readAddress(dir)
		start := "pipex-containerd start " + quote(dir)
		if !mayUse(address) && os.Geteuid() != 0 {
			start = own + " ~/" + privateDir
		}
		return address, start
	}
	if os.Geteuid() != 0 {
		runtime := os.Getenv("XDG_RUNTIME_DIR")
		if runtime == "" {
			runtime = "/run/user/" + strconv.Itoa(os.Geteuid())
		}
		if path := filepath.Join(runtime, "containerd/containerd.sock"); mayUse(path) {
			return path, own
		}
	}
	return endpoint.Address, own
}

// PrivateContainerd returns the directory of the private containerd that is used unless
// --address or $CONTAINERD_ADDRESS names another. The error wraps [ErrNoContainerd] if
// there is none.
func (c *Call) PrivateContainerd() (string, error) {
	c.Place()
	if c.found.private == "" {
		return "", ErrNoContainerd
	}
	return filepath.Abs(c.found.private)
}

// ErrNoContainerd says that no private containerd is here or above.
var ErrNoContainerd = errors.New("no private containerd is here or above")

// findContainerd returns the directory of the private containerd to use; empty if there
// is none. One that the caller may use comes before one that is root's.
func findContainerd(workdir string) string {
	if dir := os.Getenv("PIPEX_CONTAINERD_DIR"); dir != "" {
		if _, err := readAddress(dir); err == nil {
			return dir
		}
	}
	dirs := append(above(filepath.Dir(filepath.Clean(workdir))), above(".")...)
	if home := os.Getenv("HOME"); home != "" && os.Geteuid() != 0 {
		dirs = append(dirs, home)
	}
	first := ""
	for _, dir := range dirs {
		dir = filepath.Join(dir, privateDir)
		if !trusted(dir, true) || !trusted(filepath.Join(dir, addressFile), true) || ofOther(dir) {
			continue
		}
		address, err := readAddress(dir)
		if err != nil {
			continue
		}
		if mayUse(address) {
			return dir
		}
		if first == "" {
			first = dir
		}
	}
	return first
}

// ofOther reports whether a private containerd is that of another machine, which shares the directory.
func ofOther(dir string) bool {
	host, err := os.Hostname()
	other, unread := os.ReadFile(filepath.Join(dir, "host"))
	return err == nil && unread == nil && strings.TrimSuffix(string(other), "\n") != host
}

// readAddress reads the path of the socket of a private containerd. The file is
// replaced as a whole, and has one line.
func readAddress(dir string) (string, error) {
	f, err := os.OpenFile(filepath.Join(dir, addressFile), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, unix.PathMax))
	address := strings.TrimSuffix(string(data), "\n")
	if err == nil && (!filepath.IsAbs(address) || strings.ContainsAny(address, "\n\x00")) {
		err = os.ErrInvalid
	}
	return address, err
}

// mayUse tells whether the caller may connect to a socket. If it does not exist, they
// may make it.
func mayUse(socket string) bool {
	err := unix.Access(socket, unix.W_OK)
	return err != unix.EACCES && err != unix.EPERM
}

// trusted tells whether a path that was found, and that nobody has named, is the
// caller's or root's, and not a link; or that of the user who called sudo(8). With alone
// it is not the latter's, and nobody else may write to it.
func trusted(path string, alone bool) bool {
	var info unix.Stat_t
	if unix.Lstat(path, &info) != nil || info.Mode&unix.S_IFMT == unix.S_IFLNK {
		return false
	}
	own := info.Uid == 0 || info.Uid == uint32(os.Geteuid())
	if alone {
		return own && info.Mode&0o022 == 0
	}
	return own || os.Geteuid() == 0 && strconv.FormatUint(uint64(info.Uid), 10) == os.Getenv("SUDO_UID")
}

// quote quotes a word for a shell, if it needs that.
func quote(word string) string {
	if strings.Trim(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
