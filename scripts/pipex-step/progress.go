package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"syscall"
	"unicode/utf8"
)

// progress says how far the step is, unless -q was given, or nothing is to be left of it.
// pipex-run reads that from the events.
func (s *step) progress(format string, args ...any) {
	if !s.quiet && !s.ephemeral && os.Getenv("PIPEX_EVENTS") == "" {
		say("%s: %s", s.name, fmt.Sprintf(format, args...))
	}
}

// starts says that the step's command starts.
func (s *step) starts(run string) {
	s.event(event{Event: "STEP_STARTING", RunID: run})
	s.progress("started run %s", run)
}

// stopping says what is waited for now that a signal has been passed on: a command may
// take its time to end, or not end at all.
func (s *step) stopping(sig syscall.Signal) {
	if sig == syscall.SIGINT || sig == syscall.SIGTERM {
		s.progress("stopping; once more kills it")
	}
}

// maxLine is how long a line gets one label, in bytes. A longer one has several, so that
// not all of it has to be kept.
const maxLine = 3600

// labeller writes whole lines, each behind [STEP] and in one write: so those of several
// steps do not mix.
type labeller struct {
	to    io.Writer
	label string
	rest  []byte
}

func (l *labeller) Write(data []byte) (int, error) {
	l.rest = append(l.rest, data...)
	for {
		end := bytes.IndexByte(l.rest, '\n')
		switch {
		case end >= 0 && end <= maxLine:
			l.write(end)
			l.rest = l.rest[end+1:]
		case len(l.rest) > maxLine:
			end = maxLine
			for end > maxLine-utf8.UTFMax && !utf8.RuneStart(l.rest[end]) {
				end--
			}
			l.write(end)
			l.rest = l.rest[end:]
		default:
			return len(data), nil
		}
	}
}

// write writes the first bytes of the rest as a line. A reader that has gone away does
// not stop the step.
func (l *labeller) write(end int) {
	l.to.Write([]byte(l.label + string(l.rest[:end]) + "\n"))
}

// end writes a line that has no end.
func (l *labeller) end() {
	if len(l.rest) > 0 {
		l.write(len(l.rest))
		l.rest = nil
	}
}
