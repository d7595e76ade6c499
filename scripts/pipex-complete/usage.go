package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"pipex/lib/cli"
)

// usage is what the --help of a program says.
type usage struct {
	text    string
	options []option
	forms   []form
	// more is the program whose options may follow the operands; empty if there is none.
	more string
}

// option is an option of a program.
type option struct {
	names []string // with their hyphens, the long one last
	// value names the value, optional says that it stands behind "=" or not at all. Empty if it takes none.
	value    string
	optional bool
	about    string
}

func (o option) long() string { return o.names[len(o.names)-1] }

// form is one line of the synopsis.
type form struct {
	options  []string // that make it this form
	operands []operand
	command  bool // that follows --
}

// operand is one of a form's: words that stand for themselves, or names of what may stand there.
type operand struct {
	names              []string
	optional, repeated bool
}

var (
	specified = regexp.MustCompile(`^((?:-\w|--[a-z0-9-]+)(?:, --[a-z0-9-]+)?)(\[=[^\]]+\]| \[?[A-Z][^ ]*)?(?: (.*))?$`)
	column    = regexp.MustCompile(` {2,}`)
)

// parseUsage reads the text of a --help.
func parseUsage(program, text string) *usage {
	u := &usage{text: text}
	synopsis, rest, _ := strings.Cut(strings.TrimPrefix(text, "usage: "), "\n\n")
	for line := range strings.Lines(rest) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "  -") {
			u.parseOptions(strings.TrimSpace(line))
		} else if n := len(u.options); n > 0 && u.options[n-1].about == "" {
			u.options[n-1].about = strings.TrimSpace(line) // too long to stand beside it
		}
	}
	for line := range strings.Lines(synopsis) {
		if form, is := strings.CutPrefix(strings.TrimSpace(line), program); is {
			u.forms = append(u.forms, u.form(form))
		}
	}
	return u
}

// parseOptions reads a line of options: one with what it does, or several.
func (u *usage) parseOptions(line string) {
	for _, cell := range column.Split(line, -1) {
		if m := specified.FindStringSubmatch(cell); m != nil && (m[3] == "" || m[2] != "") {
			value := strings.TrimSpace(m[2])
			optional := strings.HasPrefix(value, "[=") || strings.HasPrefix(value, "[") && !strings.Contains(value, "=]")
			if optional {
				value = strings.Trim(value, "[=]")
			}
			u.options = append(u.options, option{strings.Split(m[1], ", "), value, optional, m[3]})
		} else if n := len(u.options); n > 0 && u.options[n-1].about == "" {
			u.options[n-1].about = cell
		}
	}
}

// form reads a line of the synopsis. An option that stands only there is an option, too.
func (u *usage) form(line string) (f form) {
	words := groups(line)
	for i := 0; i < len(words); i++ {
		word := words[i]
		inner := strings.TrimSuffix(word, "...")
		repeated := inner != word
		optional := strings.HasPrefix(inner, "[") && strings.HasSuffix(inner, "]")
		if optional {
			inner = inner[1 : len(inner)-1]
			repeated = repeated || strings.HasSuffix(inner, "...")
			inner = strings.TrimSuffix(inner, "...")
		}
		switch {
		case inner == "--" || strings.HasPrefix(inner, "-- "):
			f.command = true
			return f
		case inner == "OPTION":
		case inner == "PREPARE-OPTION":
			u.more = "pipex-prepare"
		case strings.HasPrefix(inner, "-"):
			names, value, _ := strings.Cut(inner, " ")
			names, of, isOptional := strings.Cut(names, "[=")
			if isOptional {
				value = strings.Trim(of, "]")
			}
			known := u.option(strings.Split(names, "|")[0])
			if known == nil {
				if !optional && value == "" && i+1 < len(words) && strings.ToUpper(words[i+1]) == words[i+1] {
					value = words[i+1]
				}
				for n := range strings.SplitSeq(names, "|") {
					u.options = append(u.options, option{names: []string{n}, value: value, optional: isOptional})
				}
				known = u.option(strings.Split(names, "|")[0])
			}
			if !optional {
				f.options = append(f.options, known.long())
				if known.value != "" && !known.optional {
					i++ // its value
				}
			}
		default:
			f.operands = append(f.operands, operand{strings.Split(inner, "|"), optional, repeated})
		}
	}
	return f
}

// groups splits a line at blanks outside brackets.
func groups(line string) (words []string) {
	depth, from := 0, 0
	for i, c := range line + " " {
		switch {
		case c == '[':
			depth++
		case c == ']':
			depth--
		case c == ' ' && depth == 0:
			if i > from {
				words = append(words, line[from:i])
			}
			from = i + 1
		}
	}
	return words
}

// option returns the option of a name, nil if there is none.
func (u *usage) option(name string) *option {
	for i, o := range u.options {
		if slices.Contains(o.names, name) {
			return &u.options[i]
		}
	}
	return nil
}

// choices are the values that the text gives for one that it names: "WHEN to fetch it: a, b or c".
func (u *usage) choices(o *option) (values []string) {
	list := regexp.MustCompile(`\b` + regexp.QuoteMeta(o.value) + `\b[^:.]*?(?:: | is )([^.]+)`)
	for _, text := range []string{o.about, u.text[:strings.Index(u.text+"OPTIONS", "OPTIONS")]} {
		m := list.FindStringSubmatch(strings.Join(strings.Fields(text), " "))
		if m == nil {
			continue
		}
		for part := range strings.SplitSeq(strings.ReplaceAll(m[1], " or ", ", "), ", ") {
			part, _, _ = strings.Cut(part, " (")
			part = strings.TrimSuffix(part, "NAME")
			if word.MatchString(part) {
				values = append(values, part)
			}
		}
		break
	}
	return values
}

var word = regexp.MustCompile(`^[a-z][a-z-]*:?$`)

// beside returns where the programs of a clone or an installation are, if they are not on PATH.
func beside() []string {
	own, err := os.Executable()
	if err != nil {
		return nil
	}
	dir := filepath.Dir(own)
	return []string{dir, filepath.Join(dir, "../scripts")}
}

// find returns the path of a program.
func find(program string) (path string, err error) {
	if path, err = exec.LookPath(program); err == nil {
		return path, nil
	}
	for _, dir := range beside() {
		path = filepath.Join(dir, program)
		if info, at := os.Stat(path); at == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", err
}

// readUsage returns what the --help of a program says. It keeps the text in the user's cache,
// in pipex/help-PROGRAM, for as long as the program's file is the same: to start one more
// program would take longer than all the rest.
func readUsage(program string) (*usage, error) {
	path, err := find(program)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	file := fmt.Appendf(nil, "%s %d %d\n", path, info.Size(), info.ModTime().UnixNano())
	cache, _ := os.UserCacheDir()
	kept := filepath.Join(cache, "pipex", "help-"+program)
	if data, err := os.ReadFile(kept); err == nil && cache != "" {
		if text, same := bytes.CutPrefix(data, file); same {
			return parseUsage(program, string(text)), nil
		}
	}
	text, err := output(path, "--help")
	if err != nil {
		return nil, fmt.Errorf("cannot read the options of %s: %w", program, err)
	}
	if cache != "" && os.MkdirAll(filepath.Dir(kept), 0o777) == nil {
		_ = cli.Output(kept, func(w io.Writer) error { // without it, it is read again
			_, err := w.Write(append(file, text...))
			return err
		})
	}
	return parseUsage(program, string(text)), nil
}

// output returns what a program prints, if it ends in time.
func output(path string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience-time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "PIPEX_TRACE=")
	cmd.WaitDelay = time.Second / 10
	return cmd.Output()
}
