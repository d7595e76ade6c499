package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"

	"golang.org/x/sys/unix"

	"pipex/lib/workspace"
)

// log is one of the two logs of a run, and how far it is printed.
type log struct {
	path   func(workspace.Run) string
	offset func(workspace.Exec) int64 // where the exec's part begins
	out    io.Writer
	file   *os.File // nil as long as there is none
	at     int64    // all before this offset is printed or left out
}

func newLog(stream string) *log {
	if stream == "stdout" {
		return &log{path: workspace.Run.Stdout, offset: func(e workspace.Exec) int64 { return e.StdoutOffset }, out: os.Stdout}
	}
	return &log{path: workspace.Run.Stderr, offset: func(e workspace.Exec) int64 { return e.StderrOffset }, out: os.Stderr}
}

// part returns where the part of an exec begins and ends, or of all if it is 0. While an exec
// runs whose log is limited, there may be a hole behind the limit.
func (l *log) part(m *workspace.Meta, exec int) (from, to int64) {
	to = math.MaxInt64
	if n := len(m.Execs); n > 0 {
		if last := m.Execs[n-1]; last.LogMaxBytes > 0 && last.FinishedAt == nil {
			to = l.offset(last) + last.LogMaxBytes
		}
	}
	if exec > 0 {
		from = l.offset(m.Execs[exec-1])
		if exec < len(m.Execs) {
			to = l.offset(m.Execs[exec])
		}
	}
	return from, to
}

// copy prints what the log has between from and to, as far as it is not printed: at first only
// the last lines, unless tail is -1.
func (l *log) copy(r workspace.Run, from, to int64, tail int) error {
	if l.file == nil {
		file, err := open(l.path(r))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		l.file = file
	}
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	to = min(to, info.Size())
	l.at = max(l.at, from)
	if tail >= 0 {
		if l.at, err = lastLines(l.file, l.at, to, tail); err != nil {
			return err
		}
	}
	if l.at >= to {
		return nil
	}
	n, err := io.Copy(l.out, io.NewSectionReader(l.file, l.at, to-l.at))
	l.at += n
	return err
}

// open opens a log. It waits for nobody and follows no link: the file may be anything.
func open(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		file.Close()
		return nil, errors.Join(err, fmt.Errorf("%q is not a regular file", path))
	}
	return file, nil
}

// lastLines returns the offset at which the last n lines of the bytes between from and to
// begin. It reads them from their end, and no more than is necessary.
func lastLines(file io.ReaderAt, from, to int64, n int) (int64, error) {
	if n == 0 {
		return max(from, to), nil
	}
	buf := make([]byte, 64<<10)
	for end := to; end > from; {
		begin := max(from, end-int64(len(buf)))
		block := buf[:end-begin]
		if _, err := file.ReadAt(block, begin); err != nil {
			return 0, err
		}
		for i := len(block); ; {
			if i = bytes.LastIndexByte(block[:i], '\n'); i < 0 {
				break
			}
			if at := begin + int64(i) + 1; at < to { // the line feed at the end ends the last line
				if n--; n == 0 {
					return at, nil
				}
			}
		}
		end = begin
	}
	return from, nil
}
