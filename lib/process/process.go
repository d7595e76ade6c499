// Package process knows processes again after they have ended: a number alone
// may be another process's by then.
package process

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// ID is a process of some machine. The zero ID is none.
type ID struct {
	// Host is the machine's name, Space the pid namespace (pid_namespaces(7)) in
	// which the number counts.
	Host, Space string
	PID         int
	// Started is when it started, in clock ticks since the machine did.
	Started string
}

// Self is the calling process.
func Self() ID { return of(os.Getpid()) }

// Parent is the process that started the calling one, or what took its place.
func Parent() ID { return of(os.Getppid()) }

func of(pid int) ID {
	host, _ := os.Hostname()
	space, _ := os.Readlink("/proc/self/ns/pid")
	started, _ := stat(pid)
	return ID{host, space, pid, started}
}

// String is the form that Parse reads: four words.
func (id ID) String() string {
	return fmt.Sprintf("%s %s %d %s", id.Host, id.Space, id.PID, id.Started)
}

// Parse reads what String wrote; anything else is no process.
func Parse(text string) ID {
	words := strings.Fields(text)
	if len(words) != 4 {
		return ID{}
	}
	pid, err := strconv.Atoi(words[2])
	if err != nil {
		return ID{}
	}
	return ID{words[0], words[1], pid, words[3]}
}

// Here tells whether it is a process that this machine can tell something of.
func (id ID) Here() bool {
	self := Self()
	return id.Host == self.Host && id.Space == self.Space
}

// Alive tells whether a process that is Here has not ended.
func (id ID) Alive() bool {
	started, _ := stat(id.PID)
	return started != "" && started == id.Started
}

// Ancestor tells whether it is the calling process, or started it, directly or
// not.
func (id ID) Ancestor() bool {
	if !id.Here() {
		return false
	}
	for pid := os.Getpid(); pid > 0; {
		started, parent := stat(pid)
		if pid == id.PID {
			return started == id.Started
		}
		pid = parent
	}
	return false
}

// stat returns when a process started and its parent, or nothing if there is no
// such process: fields 22 and 4 of proc(5)'s stat, the second of which is in
// brackets and may hold anything.
func stat(pid int) (started string, parent int) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", 0
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	if len(fields) < 20 || slices.Contains([]string{"Z", "X"}, fields[0]) {
		return "", 0 // it has ended, and nobody has asked how
	}
	parent, _ = strconv.Atoi(fields[1])
	return fields[19], parent
}
