// Package cgroup is about control groups (cgroups(7)) of either version: which ones
// containers have, what a container has used, and what can be limited.
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

// Group is the control groups of one container, called NAMESPACE/ID in each
// hierarchy.
type Group struct {
	ID    string
	dirs  []string
	state string
}

// runcState is where containerd has runc keep what it knows of containers.
const runcState = "/run/containerd/runc"

// List lists the containers in a namespace of containerd that have control groups on
// this machine, whichever containerd made them, and that belongs accepts by their ids.
// runc, killed before it has written down that a container exists, leaves them
// behind, with the container's first process in them, and nothing else knows of them.
func List(namespace string, belongs func(id string) bool) ([]Group, error) {
	hierarchies, err := hierarchies()
	if err != nil {
		return nil, err
	}
	found := map[string][]string{}
	for _, hierarchy := range hierarchies {
		dir := filepath.Join(hierarchy, namespace)
		entries, _ := os.ReadDir(dir) // it is missing where no container has run
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

// Remove ends the processes in the control groups of a container, removes the groups,
// and with them what runc knows of the container. The caller knows that the
// container is gone.
func (g Group) Remove() error {
	for _, dir := range g.dirs {
		if err := removeGroup(dir); err != nil {
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

// removeGroup removes a control group, and those in it, with their processes.
// It is a directory of files that only rmdir(2) removes.
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

// Missing returns an error for the first of the wanted controllers that this machine
// does not have; each comes with what it limits, in words.
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
