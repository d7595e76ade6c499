package cgroup

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Usage is what a container's processes have used so far.
type Usage struct {
	// PeakMemory is the greatest memory use in bytes, page cache included; zero if it is
	// not known.
	PeakMemory int64
	CPU        time.Duration
	// OOMKilled says that the kernel killed one of them because memory ran out.
	OOMKilled bool
}

// Used reads what a container has used from its control groups. They exist until its task
// is deleted. A value that they do not provide is zero.
func Used(namespace, id string) Usage {
	dirs, _ := hierarchies()
	for i := range dirs {
		dirs[i] = filepath.Join(dirs[i], namespace, id)
	}
	return usage(dirs)
}

// usage reads the control groups of one container: one directory per controller with
// version 1, one for all with version 2.
func usage(dirs []string) (u Usage) {
	for _, dir := range dirs {
		u.PeakMemory = max(u.PeakMemory, number(dir, "memory.peak", ""), number(dir, "memory.max_usage_in_bytes", ""))
		u.CPU = max(u.CPU, time.Duration(number(dir, "cpuacct.usage", "")), time.Duration(number(dir, "cpu.stat", "usage_usec"))*time.Microsecond)
		u.OOMKilled = u.OOMKilled || number(dir, "memory.events", "oom_kill") > 0 || number(dir, "memory.oom_control", "oom_kill") > 0
	}
	return u
}

// number reads a number from a control group's file: the only value if key is empty, else
// the value after key.
func number(dir, file, key string) int64 {
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		name, value, keyed := strings.Cut(strings.TrimSpace(line), " ")
		if !keyed {
			name, value = "", name
		}
		if name == key {
			n, _ := strconv.ParseInt(value, 10, 64)
			return n
		}
	}
	return 0
}
