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
// that time in milliseconds, the directory of the stamps, the steps as NAME:INPUT/INPUT...
// and the wanted steps, each list as one word, and the steps that pipex-step has looked at.
func summary(args []string) error {
	const fixed = 4
	if len(args) < fixed {
		return errors.New("--summary takes a time, a directory, and two lists of steps")
	}
	millis, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		return err
	}
	looked := args[fixed:]
	run, upToDate, failed := 0, 0, 0
	for _, name := range closure(strings.Fields(args[3]), strings.Fields(args[2])) {
		if !slices.Contains(looked, name) {
			upToDate++
		}
	}
	for _, name := range looked {
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

// closure returns the wanted steps and all that they read, each once.
func closure(wanted, graph []string) (all []string) {
	reads := map[string]string{}
	for _, step := range graph {
		name, inputs, _ := strings.Cut(step, ":")
		reads[name] = inputs
	}
	seen := map[string]bool{}
	for ; len(wanted) > 0; wanted = wanted[1:] {
		if name := wanted[0]; name != "" && !seen[name] {
			seen[name] = true
			all, wanted = append(all, name), append(wanted, strings.Split(reads[name], "/")...)
		}
	}
	return all
}

// begun is when the run of a stamp was prepared, in milliseconds: its id begins with
// that. A step that failed has no stamp.
func begun(stamp string) (millis int64, linked bool) {
	data, err := os.ReadFile(stamp)
	text, _, _ := strings.Cut(string(data), "-")
	millis, _ = strconv.ParseInt(text, 10, 64)
	return millis, err == nil
}
