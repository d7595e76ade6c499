package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Default returns the control group of a container in a containerd namespace, in each hierarchy.
func Default(namespace, id string) string { return filepath.Join("/", namespace, id) }

// decisive are the controllers by which a batch system limits, counts and ends a job (cgroup.conf(5) of
// Slurm). In version 1 each may have a control group of its own for a process.
var decisive = []string{"memory", "cpuset", "devices", "freezer", "cpu", "cpuacct"}

// slurmTask is the control group of a task of Slurm's in version 2. It has processes, so the groups
// below it could have no controllers (cgroups(7), no internal processes); the group of the step can.
var slurmTask = regexp.MustCompile(`^(.*/job_[0-9]+/step_[^/]+/user)/task_[^/]+$`)

// Below returns the control group of a container below that of this process, so that its limits
// hold for the container, too. Where the groups of the decisive controllers differ, as those of a Slurm
// job and its steps do, it is below the one that the others are below of. If this process is in no group,
// it is the container's default.
func Below(namespace, id string) (string, error) {
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", fmt.Errorf("cannot find this process's control group: %w", err)
	}
	if own := ownGroup(string(data)); own != "/" {
		return filepath.Join(own, namespace+"-"+id), nil
	}
	return Default(namespace, id), nil
}

// ownGroup is the group of a process of which data is /proc/PID/cgroup: lines of ID:CONTROLLERS:PATH.
func ownGroup(data string) string {
	paths, unified := map[string]string{}, "/"
	for line := range strings.Lines(data) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) < 3 {
			continue
		}
		if part[1] == "" {
			unified = part[2]
		}
		for c := range strings.SplitSeq(part[1], ",") {
			paths[c] = part[2]
		}
	}
	own := "/"
	for _, c := range decisive {
		if p := paths[c]; p == "" || p == "/" {
			continue
		} else if own == "/" || below(own, p) {
			own = p
		}
	}
	if own == "/" && !slices.ContainsFunc(decisive, func(c string) bool { return paths[c] != "" }) {
		own = unified
	}
	if step := slurmTask.FindStringSubmatch(own); step != nil {
		own = step[1]
	}
	return own
}

func below(path, of string) bool { return strings.HasPrefix(path, of+"/") }
