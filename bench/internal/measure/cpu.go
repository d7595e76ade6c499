package measure

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// CPU returns the CPU time that descendants have used so far: those that have ended, and
// the daemon with its children that have ended.
func (m *Meter) CPU() (time.Duration, error) {
	var ended syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &ended); err != nil {
		return 0, err
	}
	sum := time.Duration(ended.Utime.Nano() + ended.Stime.Nano())
	if m.daemon == 0 {
		return sum, nil
	}
	var clock unix.Timespec
	// The CPU clock of a process, as clock_getcpuclockid(3) makes it.
	if err := unix.ClockGettime(int32(^m.daemon<<3|2), &clock); err != nil {
		return 0, fmt.Errorf("cannot read the CPU time of process %d: %w", m.daemon, err)
	}
	f, err := stat(m.daemon)
	if err != nil {
		return 0, err
	}
	// cutime and cstime, in hundredths of a second on all architectures of Linux.
	for _, field := range f[11:13] {
		ticks, _ := strconv.ParseInt(string(field), 10, 64)
		sum += time.Duration(ticks) * 10 * time.Millisecond
	}
	return sum + time.Duration(clock.Nano()), nil
}

// stat returns the fields of /proc/PID/stat that come after the name: the state, the
// parent, and so on.
func stat(pid int) ([][]byte, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return nil, err
	}
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 13 {
		return nil, fmt.Errorf("cannot read /proc/%d/stat", pid)
	}
	return f, nil
}

// settleLimit is how long what outlives a command may take to end. A reaper that finds
// containerd busy needs a second or two.
const settleLimit = 30 * time.Second

// Settle waits until no descendant is left except the daemon, so that nothing of one
// command runs beside the next one.
func (m *Meter) Settle() error {
	for began := time.Now(); ; time.Sleep(2 * time.Millisecond) {
		for {
			if pid, err := m.reap(syscall.WNOHANG); pid <= 0 || err != nil {
				break
			}
		}
		left := m.children()
		if len(left) == 0 {
			return nil
		}
		if time.Since(began) > settleLimit {
			name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", left[0]))
			return fmt.Errorf("process %d (%s) has not ended within %s", left[0], bytes.TrimSpace(name), settleLimit)
		}
		if err := m.ctx.Err(); err != nil {
			return err
		}
	}
}

// End waits as Settle does, and then kills what is left, also what that leaves behind.
func (m *Meter) End() {
	for range 3 {
		if m.Settle() == nil {
			return
		}
		for _, pid := range m.children() {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// children returns the children of this process except the daemon.
func (m *Meter) children() (found []int) {
	me := strconv.Itoa(os.Getpid())
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == m.daemon {
			continue
		}
		if f, err := stat(pid); err == nil && string(f[1]) == me {
			found = append(found, pid)
		}
	}
	return found
}
