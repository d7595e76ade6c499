package status

import (
	"fmt"
	"time"

	units "github.com/docker/go-units"
)

// Bytes writes a size in binary units, such as 1.5K.
func Bytes(n int64) string {
	return units.CustomSize("%.4g%s", float64(n), 1024, []string{"B", "K", "M", "G", "T", "P", "E"})
}

// Count writes a number and what it counts, in the plural unless it is one.
func Count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// Age writes how long ago something was, in whole seconds at most.
func Age(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%ds", max(int(d.Seconds()), 0))
	}
	return Duration(d)
}

// Duration writes a time with the two largest units that it needs.
func Duration(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}
