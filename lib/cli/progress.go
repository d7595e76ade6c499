package cli

import (
	"fmt"
	"os"
	"time"

	units "github.com/docker/go-units"
	"golang.org/x/term"
)

// Pull is how far a pull has come; it has the form of lib/image's Progress.
type Pull struct {
	Ref                string
	Layers, LayersDone int
	Bytes, Total       int64
	Done, Failed       bool
}

// plainPause is how often a pull is told of where there is no terminal.
const plainPause = 10 * time.Second

// Pulling tells a person how far a pull has come, unless --quiet forbids it: in one
// line that is rewritten on a terminal, and in a line now and then elsewhere.
func (c *Call) Pulling() func(Pull) {
	if c.Bool("quiet") {
		return func(Pull) {}
	}
	terminal := term.IsTerminal(int(os.Stderr.Fd()))
	began, told := time.Now(), time.Time{}
	return func(p Pull) {
		line := p.text(c.verb.Name, time.Since(began))
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

// text is one line; none for what the error will tell.
func (p Pull) text(verb string, since time.Duration) string {
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
