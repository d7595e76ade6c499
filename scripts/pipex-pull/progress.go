package main

import (
	"fmt"
	"os"
	"time"

	"pipex/lib/cli"
	"pipex/lib/pull"

	units "github.com/docker/go-units"
	"golang.org/x/term"
)

// plainPause is the time between two reports of a pull without a terminal.
const plainPause = 10 * time.Second

// pulling returns a function that prints the progress of a pull, or nil with --quiet. On a terminal it
// rewrites one line; elsewhere it prints a line every plainPause.
func pulling(c *cli.Call, verb string) func(pull.Progress) {
	if c.Bool("quiet") {
		return nil
	}
	terminal := term.IsTerminal(int(os.Stderr.Fd()))
	began, told := time.Now(), time.Time{}
	return func(p pull.Progress) {
		line := text(verb, p, time.Since(began))
		switch {
		case terminal:
			width, _, err := term.GetSize(int(os.Stderr.Fd()))
			if err == nil && width > 0 && len(line) >= width && !p.Done {
				line = line[:width-1] // a line that wraps cannot be rewritten
			}
			line = "\r\x1b[K" + line
		case p.Done || p.Layers > 0 && time.Since(told) > plainPause:
			told = time.Now()
		default:
			return
		}
		if !p.Failed && (p.Done || !terminal) {
			line += "\n"
		}
		fmt.Fprint(os.Stderr, line)
	}
}

// text returns the progress in one line; "" for a failure, since the error says more.
func text(verb string, p pull.Progress, since time.Duration) string {
	size := func(n int64) string { return units.HumanSizeWithPrecision(float64(n), 3) }
	switch {
	case p.Failed:
		return ""
	case p.Done:
		return fmt.Sprintf("%s: pulled %s: %d layers, %s, in %s", verb, p.Ref, p.Layers, size(p.Total), since.Round(100*time.Millisecond))
	case p.Layers == 0:
		return fmt.Sprintf("%s: pulling %s", verb, p.Ref)
	case p.LayersDone == p.Layers:
		return fmt.Sprintf("%s: pulling %s: unpacking %d layers, %s", verb, p.Ref, p.Layers, size(p.Total))
	}
	return fmt.Sprintf("%s: pulling %s: %d of %d layers, %s of %s", verb, p.Ref, p.LayersDone, p.Layers, size(p.Bytes), size(p.Total))
}
