package doctor

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strings"

	"golang.org/x/sys/unix"

	"pipex/lib/internal/cgroup"
	"pipex/lib/internal/endpoint"
	"pipex/lib/internal/network"
	"pipex/lib/internal/oci"
)

// install is the command that installs a Debian package.
func install(packages ...string) string { return "apt-get install " + strings.Join(packages, " ") }

// find looks for a program in PATH, and where the programs of root are, as
// pipex-containerd does.
func find(program string) (string, error) {
	path, err := exec.LookPath(program)
	for _, dir := range []string{"/usr/sbin/", "/sbin/"} {
		if err != nil {
			path, err = exec.LookPath(dir + program)
		}
	}
	return path, err
}

// kernel: openat2(2), without which nothing below a directory is opened, is in Linux 5.6.
func kernel(context.Context) Finding {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return fails("use Linux 5.6 or later", "%v", err)
	}
	release := unix.ByteSliceToString(name.Release[:])
	fd, err := unix.Openat2(unix.AT_FDCWD, ".", &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH})
	if err != nil {
		return fails("use Linux 5.6 or later, and let the container in which pipex runs call openat2", "Linux %s, openat2: %v", release, err)
	}
	unix.Close(fd)
	return ok("Linux %s", release)
}

func seccomp(context.Context) Finding {
	if _, err := os.Stat("/proc/sys/kernel/seccomp/actions_avail"); err != nil {
		return warning("use a kernel with CONFIG_SECCOMP_FILTER", "the kernel has no filter for system calls: %v", err)
	}
	return ok("the kernel can filter system calls")
}

// cgroups finds which limits can be set.
func cgroups(context.Context) Finding {
	form := "no control groups"
	var root unix.Statfs_t
	if err := unix.Statfs("/sys/fs/cgroup", &root); err == nil {
		form = "version 1"
		if root.Type == unix.CGROUP2_SUPER_MAGIC {
			form = "version 2"
		} else if err := unix.Statfs("/sys/fs/cgroup/unified", &root); err == nil && root.Type == unix.CGROUP2_SUPER_MAGIC {
			form = "version 1 and 2"
		}
	}
	for controller, what := range map[string]string{"memory": "memory", "cpu": "CPUs", "pids": "the number of processes"} {
		if err := cgroup.Missing(map[string]string{controller: what}); err != nil {
			return warning("mount -t cgroup2 none /sys/fs/cgroup", "%s: %v", form, err)
		}
	}
	if os.Getuid() != 0 {
		return warning("run as root, if a step needs --memory, --cpus or --pids", "%s; a rootless containerd can set no limits", form)
	}
	return ok("%s, with memory, CPUs and processes", form)
}

func overlay(context.Context) Finding {
	data, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return fails("mount -t proc proc /proc", "%v", err)
	}
	for line := range strings.Lines(string(data)) {
		if strings.TrimSpace(line) == "nodev\toverlay" {
			return ok("the kernel has overlayfs")
		}
	}
	return fails("modprobe overlay", "the kernel has no overlayfs now")
}

// programs are those that the scripts call.
func programs(context.Context) Finding {
	var missing, packages []string
	for _, p := range [][2]string{{"make", "make"}, {"jq", "jq"}, {"ctr", "containerd"}} {
		if _, err := find(p[0]); err != nil {
			missing, packages = append(missing, p[0]), append(packages, p[1])
		}
	}
	if len(missing) > 0 {
		return warning(install(packages...), "some scripts need what is not here: %s", strings.Join(missing, ", "))
	}
	return ok("make, jq and ctr are here")
}

// runc runs the containers; containerd finds it by its own PATH, which is mostly ours.
func runc(ctx context.Context) Finding {
	path, err := find("runc")
	if err != nil {
		return fails(install("runc"), "runc is not here")
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return fails(install("runc"), "%s does not run: %v", path, err)
	}
	version, _, _ := strings.Cut(strings.TrimPrefix(string(out), "runc version "), "\n")
	return ok("runc %s, %s", version, path)
}

func tini(context.Context) Finding {
	if path := oci.Init(); path != "" {
		return ok("%s", path)
	}
	return warning(install("tini"), "no tini-static is here: a command that handles no signals ignores SIGTERM, and its orphans stay zombies")
}

func networks(cni endpoint.CNI) func(context.Context) Finding {
	return func(context.Context) Finding {
		if os.Getuid() != 0 {
			return warning("use --network host or none", "only root can make bridge networks")
		}
		if err := network.Paths(cni).Check("bridge"); err != nil {
			return warning(install("containernetworking-plugins", "iptables"), "--network bridge does not work: %v", err)
		}
		return ok("CNI's plugins are here, for --network bridge")
	}
}

// rootless finds what a containerd without root needs.
func rootless(context.Context) Finding {
	how := fails
	if os.Getuid() == 0 {
		how = warning // for others
	}
	var missing []string
	for _, program := range []string{"rootlesskit", "newuidmap", "nsenter"} {
		if _, err := find(program); err != nil {
			missing = append(missing, program)
		}
	}
	if len(missing) > 0 {
		return how(install("rootlesskit", "uidmap", "util-linux"), "without root, pipex-containerd needs %s", strings.Join(missing, ", "))
	}
	if os.Getuid() == 0 {
		return ok("rootlesskit and newuidmap are here, for users other than root")
	}
	me, err := user.Current()
	if err != nil {
		return fails("give the user an entry in /etc/passwd", "%v", err)
	}
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		if !has(file, me.Username+":", me.Uid+":") {
			return fails(fmt.Sprintf("as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s", me.Username), "%s has no subordinate ids in %s", me.Username, file)
		}
	}
	return ok("rootlesskit, newuidmap and the subordinate ids of %s are here", me.Username)
}

// has tells whether a line of a file begins with one of the prefixes.
func has(file string, prefixes ...string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		for _, prefix := range prefixes {
			if strings.HasPrefix(lines.Text(), prefix) {
				return true
			}
		}
	}
	return false
}
