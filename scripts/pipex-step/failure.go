package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"
)

// recorded is what the record of a failed run says about the failure.
type recorded struct {
	Reason string `json:"reason"`
	Execs  []struct {
		StdoutOffset int64 `json:"stdoutOffset"`
		StderrOffset int64 `json:"stderrOffset"`
	} `json:"execs"`
}

// maxRecord is how many bytes of a record are read at most.
const maxRecord = 64 << 20

// tellFailure says why the command of a run failed, and which commands show the run,
// enter and remove it. It first repeats the last lines that the command wrote, unless
// they stand just before. It returns the reason, if the record has one.
func (s *step) tellFailure(run string, status int) string {
	dir := s.directory(run)
	var r recorded
	if f, err := os.Open(filepath.Join(dir, "meta.json")); err == nil {
		json.NewDecoder(io.LimitReader(f, maxRecord)).Decode(&r) // without it only the status is known
		f.Close()
	}
	if os.Getenv("PIPEX_EVENTS") == "" { // pipex-run itself shows the end of stderr
		s.repeat(dir, r)
	}
	why := fmt.Sprintf("failed with status %d", status)
	switch {
	case r.Reason != "":
		why = "failed: " + r.Reason
	case status == 127:
		why += ", command not found"
	case status == 126:
		why += ", command not executable"
	}
	where := s.where()
	containerd := s.address + s.spaces
	say("step %q %s; look: pipex-logs%s %s; enter: pipex-shell%s%s %s; forget: pipex-discard%s%s %s",
		s.name, why, where, run, where, containerd, run, where, containerd, run)
	return r.Reason
}

// directory returns the directory of a run.
func (s *step) directory(run string) string {
	path, _ := exec.Command("pipex-link", "--where", run).Output()
	return strings.TrimSuffix(string(path), "\n")
}

// repeat prints the last lines of what the last exec wrote to stderr or, if that is
// nothing, to stdout. It does not if they stand just before: they went to our stderr, and
// no other step wrote there meanwhile.
func (s *step) repeat(dir string, r recorded) {
	if len(r.Execs) == 0 {
		return
	}
	last, mixed := r.Execs[len(r.Execs)-1], mixed()
	for _, log := range []struct {
		name   string
		offset int64
		apart  bool
	}{{"stderr", last.StderrOffset, mixed}, {"stdout", last.StdoutOffset, mixed || !sameFile(os.Stdout, os.Stderr)}} {
		lines := lastLines(filepath.Join(dir, log.name+".log"), log.offset)
		if len(lines) == 0 {
			continue
		}
		if !log.apart {
			return
		}
		say("step %q: the end of its %s:", s.name, log.name)
		for _, line := range lines {
			fmt.Fprintln(os.Stderr, "    "+line)
		}
		return
	}
}

// mixed reports whether other steps of a make may have written to our stderr while the
// command ran. A person at a terminal has seen that, and can scroll.
func mixed() bool {
	if _, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS); err == nil || os.Getenv("PIPEX_LOGS") != "" {
		return false
	}
	several := false
	for _, word := range strings.Fields(os.Getenv("MAKEFLAGS")) {
		switch {
		case word == "--": // variables follow
			return several
		case strings.HasPrefix(word, "-O"): // --output-sync
			return false
		case strings.HasPrefix(word, "-j") && word != "-j1":
			several = true
		}
	}
	return several
}

// sameFile reports whether two files are one and the same. A file that is closed is none.
func sameFile(a, b *os.File) bool {
	is, err := a.Stat()
	other, err2 := b.Stat()
	return err == nil && err2 == nil && os.SameFile(is, other)
}

// How much of a log is repeated, in lines and in bytes.
const (
	maxLines = 10
	maxBytes = 4 << 10
)

// lastLines returns the last lines of a log from offset on. A step may write anything:
// what a terminal might take for a command becomes "?".
func lastLines(path string, offset int64) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size <= offset {
		return nil
	}
	from := max(offset, size-maxBytes)
	data := make([]byte, size-from)
	n, _ := f.ReadAt(data, from)
	text := strings.TrimRight(string(data[:n]), "\r\n")
	if _, rest, ok := strings.Cut(text, "\n"); ok && from > offset {
		text = rest // the first line is not whole
	}
	if text == "" {
		return nil
	}
	text = strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return '?'
		}
		return r
	}, text)
	lines := strings.Split(text, "\n")
	return lines[max(0, len(lines)-maxLines):]
}
