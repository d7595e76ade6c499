package trace

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// line prints a part that has ended: when it began and how long it took, in milliseconds, and
// indented by how many others it is within. Parts are printed as they end, so the parts of a
// part stand above it, and the process, as "total", is the last line. The caller holds t.mu.
func (t *tracer) line(s *Span, end time.Time) {
	if t.Lines == nil {
		return
	}
	what := strings.TrimSpace(s.name + " " + s.of)
	if s.kind == kindClient {
		what = s.name[strings.LastIndexByte(s.name, '.')+1:] // Tasks/Start is enough
	}
	if s == t.root {
		what = strings.TrimSuffix("total of "+s.name, " of "+t.Program)
	}
	indent := strings.Repeat("  ", max(s.depth-1, 0))
	io.WriteString(t.Lines, fmt.Sprintf("%s[%d] %9.3fms +%9.3fms %s%s\n", t.Program, os.Getpid(), ms(s.start.Sub(t.began)), ms(end.Sub(s.start)), indent, what))
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// processBegan returns when the process began: as long ago as its first thread has run or
// waited for a processor, since a program does little else before main. The start time in
// /proc/self/stat counts in hundredths of a second. See proc_pid_schedstat in the kernel's
// documentation of sched-stats. The clock is read after that count, so the time is never before
// the process began, however long it waits between the two.
func processBegan() time.Time {
	data, _ := os.ReadFile("/proc/self/schedstat")
	began := time.Now()
	fields := strings.Fields(string(data))
	for _, f := range fields[:min(2, len(fields))] {
		ns, _ := strconv.ParseInt(f, 10, 64)
		began = began.Add(-time.Duration(ns))
	}
	return began
}
