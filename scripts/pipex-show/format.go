package main

import (
	"fmt"
	"time"
	"unicode/utf8"

	units "github.com/docker/go-units"

	"pipex/lib/cli"
)

func plural(n int, what string) string {
	if n == 1 {
		return what
	}
	return what + "s"
}

func bytes(n int64) string {
	return units.CustomSize("%.4g%s", float64(n), 1024, []string{"B", "K", "M", "G", "T", "P", "E"})
}

// age writes how long ago something was, in whole seconds at most.
func age(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%ds", max(int(d.Seconds()), 0))
	}
	return duration(d)
}

// duration writes a time with the two largest units that it needs.
func duration(d time.Duration) string {
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

// short returns text without control characters, which a terminal could obey, and at most
// max characters of it.
func short(text string, max int) string {
	text = cli.Harmless(text)
	if utf8.RuneCountInString(text) > max {
		text = string([]rune(text)[:max-1]) + "…"
	}
	return text
}
