package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"pipex/lib/status"
)

// tail is the end of a log.
type tail struct {
	Name, Text string
	// Of is the size of the log; empty if Text is all of it.
	Of string
}

// readTail reads the end of a log: whole lines, unless one is longer than all that is shown. It
// waits for nobody and follows no link: the file may be anything. Without a log Text is empty.
func readTail(path string, limit limit) tail {
	t := tail{Name: filepath.Base(path)}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return t
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return t
	}
	// What a terminal would not show is read, too: escape sequences, overwritten lines.
	const margin = 4
	from := max(info.Size()-int64(margin*limit.bytes), 0)
	data, _ := io.ReadAll(io.NewSectionReader(f, from, info.Size()-from))
	if i := bytes.IndexByte(data, '\n'); from > 0 && i >= 0 && i < len(data)-1 {
		data = data[i+1:]
	}
	lines := strings.Split(strings.TrimRight(shown(data), "\n"), "\n")
	cut := from > 0
	if n := len(lines) - limit.lines; n > 0 {
		lines, cut = lines[n:], true
	}
	text := strings.Join(lines, "\n")
	if n := len(text) - limit.bytes; n > 0 {
		text, cut = text[n:], true
		if i := strings.IndexByte(text, '\n'); i >= 0 && i < len(text)-1 {
			text = text[i+1:]
		}
		text = strings.TrimLeftFunc(text, func(r rune) bool { return r == utf8.RuneError })
	}
	if t.Text = text; cut {
		t.Of = status.Bytes(info.Size())
	}
	return t
}

// shown returns about what a terminal would show of a text at its end: without escape
// sequences (ECMA-48), of each line what follows the last carriage return, and ? for all
// else that is not printable, bytes that are no UTF-8 included.
func shown(data []byte) string {
	var b []byte
	line := 0 // where in b the line begins
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == 0x1b:
			size = sequence(data[i:])
		case r == '\n':
			b = append(b, '\n')
			line = len(b)
		case r == '\r':
			if i+1 < len(data) && data[i+1] != '\n' && data[i+1] != '\r' {
				b = b[:line]
			}
		case r == '\t' || r != utf8.RuneError && unicode.IsPrint(r):
			b = utf8.AppendRune(b, r)
		case r == '\b' || r == '\a':
		default:
			b = append(b, '?')
		}
		i += size
	}
	return string(b)
}

// sequence returns the length of the escape sequence with which data begins: a control sequence
// (ESC [ … letter), a string (ESC ] and others, to BEL or ESC \), or ESC and one character, with
// intermediate ones before it. One that does not end is as long as its line.
func sequence(data []byte) int {
	if len(data) < 2 {
		return len(data)
	}
	i := 2
	switch data[1] {
	case '[':
		for ; i < len(data) && 0x20 <= data[i] && data[i] < 0x40; i++ {
		}
	case ']', 'P', 'X', '^', '_':
		for ; i < len(data) && data[i] != 0x07 && data[i] != 0x1b && data[i] != '\n'; i++ {
		}
		if i+1 < len(data) && data[i] == 0x1b && data[i+1] == '\\' {
			i++
		}
	default:
		for i = 1; i < len(data) && 0x20 <= data[i] && data[i] < 0x30; i++ {
		}
	}
	if i < len(data) && data[i] != '\n' {
		i++
	}
	return i
}
