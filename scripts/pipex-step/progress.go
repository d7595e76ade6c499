package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
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

// ends says what has become of the step and, for pipex.mk, of all steps of the make so far.
func (s *step) ends(e event) {
	text := ""
	switch {
	case e.Event == "STEP_FINISHED":
		text = fmt.Sprintf("done in %.1fs", float64(*e.DurationMs)/1000)
		if *e.ExitCode == 0 && s.files == 0 { // most likely it wrote somewhere else
			text += ", no output files"
		}
	case s.tally == "":
		return // what is up to date needs no words, and a failure has them
	case e.Event == "STEP_FAILED":
		text = "failed"
		if e.Reason == interrupted {
			text = interrupted
		}
	case e.Reason == "cached":
		text = "up to date"
	default:
		text = "not run, since an input is missing"
	}
	if s.tally == "" {
		s.progress("%s", text)
		return
	}
	t, err := openTally(s.tally)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			say("cannot count the steps: %v", err)
		}
		s.progress("%s", text)
		return
	}
	defer t.Close()                             // the last line is the one that counts all
	if e.Reason != "cached" || t.is == "open" { // else the count stays as it is
		s.progress("%s; %s", text, t.add(e))
	}
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
