package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pipex/lib/name"
)

// tally returns the option by which each step that ends says what has become of the steps of
// this make so far; see pipex-step. Make has no hook at its end, but the last such line has
// it all, whatever the goal is, and also if a step fails. The file is the first step's to
// make, so that nothing is written if nothing is done.
//
// The option has how many steps are up to date for certain, how many unless an input of
// theirs changes, and how many have to be looked at; and which of these the step itself is.
func (m *makefile) tally(looked map[string]bool, file string) func(step string) string {
	if m.quiet || strings.ContainsAny(m.flags, "nqst") {
		return func(string) string { return "" }
	}
	forgetTallies(filepath.Dir(file))
	count := map[string]int{}
	is := func(name string) string {
		switch {
		case !looked[name]:
			return "certain"
		case !m.steps[name].again && !m.forced(name):
			return "likely"
		}
		return "open"
	}
	for _, name := range m.names {
		count[is(name)]++
	}
	return func(step string) string {
		return fmt.Sprintf("--tally %s:%d:%d:%d:%s ", file, count["certain"], count["likely"], count["open"], is(step))
	}
}

// tallyFile is the file of a tally, which no other make has.
func (m *makefile) tallyFile() string {
	return filepath.Join(filepath.Dir(m.stamps), "makes", name.NewID())
}

// longest is how long a make is expected to take at most.
const longest = 7 * 24 * time.Hour

// forgetTallies removes the tallies of makes that have ended long ago.
func forgetTallies(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > longest {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
