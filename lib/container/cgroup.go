package container

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Cgroups are the control groups of one container, called NAMESPACE/ID in each
// hierarchy.
type Cgroups struct {
	ID    string
	dirs  []string
	state string
}

// runcState is where containerd has runc keep what it knows of containers.
const runcState = "/run/containerd/runc"

// Cgroups lists the control groups on this machine that are called as those of
// the runs of a workspace are, whichever containerd made them. runc, killed
// before it has written down that a container exists, leaves them behind, and
// the container's first process in them, and nobody else knows.
func (c *Client) Cgroups(workdir string) ([]Cgroups, error) {
	hierarchies, err := hierarchies()
	if err != nil {
		return nil, err
	}
	found := map[string][]string{}
	for _, hierarchy := range hierarchies {
		dir := filepath.Join(hierarchy, c.Namespace)
		entries, _ := os.ReadDir(dir) // it is missing where no container has run
		for _, e := range entries {
			if e.IsDir() && Belongs(e.Name(), workdir) {
				found[e.Name()] = append(found[e.Name()], filepath.Join(dir, e.Name()))
			}
		}
	}
	var all []Cgroups
	for id, dirs := range found {
		all = append(all, Cgroups{id, dirs, filepath.Join(runcState, c.Namespace, id)})
	}
	return all, nil
}

// Reap removes the control groups of a container that is gone, ends the
// processes in them, and has runc forget it. That it is gone, in any containerd, is for the caller to
// know.
func (g Cgroups) Reap() error {
	for _, dir := range g.dirs {
		if err := removeCgroup(dir); err != nil {
			return err
		}
	}
	return os.RemoveAll(g.state)
}

// hierarchies lists where control groups are mounted (cgroups(7), proc(5)): one
// place with version 2, one for each controller with version 1.
func hierarchies() (dirs []string, err error) {
	err = cgroupMounts(func(dir, _ string) { dirs = append(dirs, dir) })
	return dirs, err
}

// controllers lists what control groups can control here, in either version.
func controllers() (names []string, err error) {
	err = cgroupMounts(func(dir, options string) {
		names = append(names, strings.Split(options, ",")...)
		data, _ := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
		names = append(names, strings.Fields(string(data))...)
	})
	return names, err
}

// cgroupMounts calls do with each place where control groups are mounted, and
// the options of the file system, which in version 1 are its controllers.
func cgroupMounts(do func(dir, options string)) error {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("cannot find the control groups: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		mount, super, _ := strings.Cut(line, " - ")
		fields, of := strings.Fields(mount), strings.Fields(super)
		if len(fields) > 4 && len(of) > 2 && strings.HasPrefix(of[0], "cgroup") {
			do(fields[4], of[2])
		}
	}
	return nil
}

// reapTries is how often it is looked whether killed processes have left their
// control group, with reapPause in between: 2 seconds in all.
const (
	reapTries = 100
	reapPause = 20 * time.Millisecond
)

// removeCgroup removes a control group, and those in it, with their processes.
// It is a directory of files that only rmdir(2) removes.
func removeCgroup(dir string) (err error) {
	for range reapTries {
		var groups []string
		err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				groups = append(groups, path)
			}
			return err
		})
		for _, group := range slices.Backward(groups) {
			killAll(group)
			err = unix.Rmdir(group)
		}
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		time.Sleep(reapPause)
	}
	return fmt.Errorf("cannot remove control group %q: %w", dir, err)
}

// killAll kills the processes that a control group holds. Each is held by a
// descriptor before it is looked at again, since its number may have become
// another's.
func killAll(group string) {
	for _, number := range processes(group) {
		pid, err := strconv.Atoi(number)
		if err != nil {
			continue
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue
		}
		if slices.Contains(processes(group), number) {
			unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		}
		unix.Close(fd)
	}
}

func processes(group string) []string {
	data, _ := os.ReadFile(filepath.Join(group, "cgroup.procs"))
	return strings.Fields(string(data))
}
