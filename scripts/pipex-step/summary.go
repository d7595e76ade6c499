package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// summary says what has become of the steps of a make that began at a time: how many were
// run since, how many are up to date, how many may fail and did. pipex.mk calls it with
// that time in milliseconds, the directory of the stamps, the steps that were found up to
// date without a process, as one word, and those for which there was one.
func summary(args []string) error {
	if len(args) < 3 {
		return errors.New("--summary takes a time, a directory, and names")
	}
	millis, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		return err
	}
	run, upToDate, failed := 0, 0, 0
	for _, name := range strings.Fields(args[2]) {
		if !slices.Contains(args[3:], name) {
			upToDate++
		}
	}
	for _, name := range args[3:] {
		switch begun, linked := begun(filepath.Join(args[1], name)); {
		case !linked:
			failed++
		case begun >= millis:
			run++
		default:
			upToDate++
		}
	}
	text := fmt.Sprintf("%d run, %d up to date", run, upToDate)
	if failed > 0 {
		text += fmt.Sprintf(", %d failed", failed)
	}
	say("%s, in %.1fs", text, time.Since(time.UnixMilli(millis)).Seconds())
	return nil
}

// begun is when the run of a stamp was prepared, in milliseconds: its id begins with
// that. A step that failed has no stamp.
func begun(stamp string) (millis int64, linked bool) {
	data, err := os.ReadFile(stamp)
	text, _, _ := strings.Cut(string(data), "-")
	millis, _ = strconv.ParseInt(text, 10, 64)
	return millis, err == nil
}
