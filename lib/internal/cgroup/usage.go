package cgroup

import (
	"os"
	"path/filepath"
	"slices"
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

// Used reads what a container has used from its control groups, which have one path in all
// hierarchies. They exist until its task is deleted. A value that they do not provide is zero.
func Used(path string) (u Usage) {
	var unified []string
	cgroupMounts(func(dir string, controllers []string) {
		if dir = filepath.Join(dir, path); controllers == nil {
			unified = append(unified, dir)
		} else {
			u.read1(dir, controllers)
		}
	})
	for _, dir := range unified {
		if u.PeakMemory == 0 || u.CPU == 0 { // else version 1 has both controllers
			u.read2(dir)
		}
	}
	return u
}

// read1 adds what a container's control group in a hierarchy of version 1 has counted. Of ten
// hierarchies two count.
func (u *Usage) read1(dir string, controllers []string) {
	if slices.Contains(controllers, "memory") {
		u.PeakMemory = number(dir, "memory.max_usage_in_bytes", "")
		u.OOMKilled = number(dir, "memory.oom_control", "oom_kill") > 0
	}
	if slices.Contains(controllers, "cpuacct") {
		u.CPU = time.Duration(number(dir, "cpuacct.usage", ""))
	}
}

// read2 adds what a container's control group of version 2 has counted.
func (u *Usage) read2(dir string) {
	u.PeakMemory = max(u.PeakMemory, number(dir, "memory.peak", ""))
	u.CPU = max(u.CPU, time.Duration(number(dir, "cpu.stat", "usage_usec"))*time.Microsecond)
	u.OOMKilled = u.OOMKilled || number(dir, "memory.events", "oom_kill") > 0
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
