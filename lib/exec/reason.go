package exec

import (
	"fmt"
	"strings"
	"time"

	units "github.com/docker/go-units"
)

// reason says why the current exec, which has ended, failed: what its exit status alone
// does not say. It is empty if the command returned a status by itself.
func (x *execution) reason() string {
	r := x.record()
	switch {
	case r.TimedOut:
		return timedOut + " after " + short(x.limit())
	case r.ExitCode != nil && *r.ExitCode != 0 && r.Usage != nil && r.Usage.OOMKilled:
		if l := x.meta.Limits; l != nil && l.MemoryBytes != 0 {
			return "killed for want of memory at " + size(l.MemoryBytes)
		}
		return "killed for want of memory"
	case r.Signal == "SIGSYS" && !x.meta.Bits32:
		return "ended by SIGSYS; a 32-bit program needs pipex-prepare --32-bit"
	case r.Signal != "":
		return "ended by " + r.Signal
	}
	return r.Error
}

// timedOut begins the reason of an exec that timed out.
const timedOut = "timed out"

// ReasonError says why the command of a run failed, if its exit status alone does not.
type ReasonError struct {
	// Run is the run's id.
	Run string
	// Reason is the reason that the run's record has, such as "timed out after 30s".
	Reason string
}

func (e *ReasonError) Error() string {
	was := "was "
	if strings.HasPrefix(e.Reason, timedOut) {
		was = ""
	}
	return fmt.Sprintf("run %q %s%s", e.Run, was, e.Reason)
}

// tell calls Warn with a [*ReasonError] if the current exec failed for a reason that
// nobody has been told: by the command, by another warning, or by sending the signal.
func (x *execution) tell() {
	if r := x.record(); r.Error == "" && x.reason() != "" && !x.forwarded {
		x.Warning(&ReasonError{x.run.ID, x.reason()})
	}
}

// short returns a duration without parts that are zero, such as 1h instead of 1h0m0s.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// size returns a number of bytes in binary units, such as "512 MiB".
func size(bytes int64) string {
	text := units.BytesSize(float64(bytes))
	if i := strings.IndexAny(text, "KMGTPEB"); i > 0 {
		return text[:i] + " " + text[i:]
	}
	return text
}
