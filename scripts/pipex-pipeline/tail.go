package main

import (
	"bytes"
	"os"
	"unicode/utf8"
)

// tail are the logs of a step, which grow.
type tail struct{ streams []stream }

// stream is one of them, and what of it has been read, except the rest of a line.
type stream struct {
	name, path string
	at         int64
	rest       []byte
	whole      bool // a line is told as one, however long it is
}

// maxLine is how long a line is told as one, in bytes.
const maxLine = 3600

// lines calls tell for each line that is new; at the end also for one without an end.
func (s *stream) lines(end bool, tell func(string)) {
	f, err := os.Open(s.path)
	if err != nil {
		return // nothing yet
	}
	defer f.Close()
	chunk := make([]byte, 64<<10)
	for {
		n, err := f.ReadAt(chunk, s.at)
		s.at += int64(n)
		s.rest = append(s.rest, chunk[:n]...)
		s.take(tell)
		if err != nil || n == 0 {
			break
		}
	}
	if end && len(s.rest) > 0 {
		tell(string(s.rest))
		s.rest = nil
	}
}

// take tells the whole lines, and what is too long for one.
func (s *stream) take(tell func(string)) {
	for {
		i := bytes.IndexByte(s.rest, '\n')
		switch {
		case !s.whole && (i > maxLine || i < 0 && len(s.rest) > maxLine):
			n := maxLine
			for n > maxLine-utf8.UTFMax && !utf8.RuneStart(s.rest[n]) {
				n--
			}
			tell(string(s.rest[:n]))
			s.rest = s.rest[n:]
		case i >= 0:
			tell(string(s.rest[:i]))
			s.rest = s.rest[i+1:]
		default:
			return
		}
	}
}
