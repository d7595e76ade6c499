// Package cgroup finds, reads and removes the control groups (cgroups(7)) of containers,
// of version 1 and 2, and finds which limits this machine supports.
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Group is the control groups of one container. They have the name NAMESPACE/ID in each
// hierarchy.
type Group struct {
	ID    string
	dirs  []string
	state string
}

// runcState is the directory in which runc, started by containerd, keeps its state.
const runcState = "/run/containerd/runc"

// List returns the control groups on this machine of containers in a containerd
// namespace for whose ids belongs returns true, whichever containerd created them. If
// runc is killed before it has recorded a container, it leaves the container's control
// groups with its first process, and neither runc nor containerd can find them.
func List(namespace string, belongs func(id string) bool) ([]Group, error) {
	hierarchies, err := hierarchies()
	if err != nil {
		return nil, err
	}
	found := map[string][]string{}
	for _, hierarchy := range hierarchies {
		dir := filepath.Join(hierarchy, namespace)
		entries, _ := os.ReadDir(dir) // missing if no container has run yet
		for _, e := range entries {
			if e.IsDir() && belongs(e.Name()) {
				found[e.Name()] = append(found[e.Name()], filepath.Join(dir, e.Name()))
			}
		}
	}
	var all []Group
	for id, dirs := range found {
		all = append(all, Group{id, dirs, filepath.Join(runcState, namespace, id)})
	}
	return all, nil
}

// Remove kills the processes in the control groups of a container, and removes the groups
// and runc's record of the container. The caller has made sure that the container no
// longer exists in containerd.
func (g Group) Remove() error {
	for _, dir := range g.dirs {
		if err := removeGroup(dir); err != nil {
			return err
		}
	}
	return os.RemoveAll(g.state)
}

// hierarchies returns where control groups are mounted (cgroups(7), proc(5)): one
// directory with version 2, one per controller with version 1.
func hierarchies() (dirs []string, err error) {
	err = cgroupMounts(func(dir string, _ []string) { dirs = append(dirs, dir) })
	return dirs, err
}

// controllers returns the controllers that this machine has, of either version.
func controllers() (names []string, err error) {
	err = cgroupMounts(func(dir string, controllers []string) {
		names = append(names, controllers...)
		data, _ := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
		names = append(names, strings.Fields(string(data))...)
	})
	return names, err
}

// cgroupMounts calls do with each directory where control groups are mounted. In version 1
// controllers are the mount's options, which contain its controllers; in version 2 they are nil.
func cgroupMounts(do func(dir string, controllers []string)) error {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("cannot find the control groups: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		mount, super, _ := strings.Cut(line, " - ")
		fields, of := strings.Fields(mount), strings.Fields(super)
		if len(fields) < 5 || len(of) < 3 {
			continue
		}
		switch of[0] {
		case "cgroup":
			do(fields[4], strings.Split(of[2], ","))
		case "cgroup2":
			do(fields[4], nil)
		}
	}
	return nil
}

// reapTries is how often removeGroup tries again until the killed processes have left
// their control group, with reapPause in between: 2 seconds in all.
const (
	reapTries = 100
	reapPause = 20 * time.Millisecond
)

// removeGroup removes a control group and those below it, and kills their processes. Only
// rmdir(2) can remove a control group; its files cannot be removed.
func removeGroup(dir string) (err error) {
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

// killAll kills the processes in a control group. It opens a descriptor of each process
// (pidfd_open(2)) and then checks that it is in the group, since its process id may have
// been reused.
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

// Missing returns an error for the first of the wanted controllers that this machine does
// not have. wanted maps each controller to what it limits, for the message.
func Missing(wanted map[string]string) error {
	has, err := controllers()
	if err != nil {
		return err
	}
	for _, c := range slices.Sorted(maps.Keys(wanted)) {
		if !slices.Contains(has, c) {
			return fmt.Errorf("cannot limit %s: this machine has no control group for it (controller %q); leave the limit out", wanted[c], c)
		}
	}
	return nil
}
