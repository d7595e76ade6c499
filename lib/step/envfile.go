package step

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"unicode/utf8"

	"pipex/lib/internal/lazy"
	"pipex/lib/name"
)

// maxEnvFile bounds an env file: execve(2) takes no more than 2 MiB of variables and arguments.
const maxEnvFile = 1 << 20

// ReadEnvFile adds the variables of a file to env. The grammar is what dotenv and docker
// agree on; where they read one line in two ways, the line is refused, as is whatever is not
// a variable. A refusal is a [*name.UsageError] that begins with FILE:LINE, and env is
// unchanged then.
//
// A line is KEY=VALUE, with or without "export" before it, and with or without blanks around
// KEY and VALUE; empty lines and lines that begin with # are skipped. Lines end with LF or
// CRLF. A value in single quotes, double quotes or backticks is taken as it is, over several
// lines too; \n and \r between double quotes are line ends. Without quotes a value ends at a
// # after a blank. The last of two lines with one KEY counts. Nothing is expanded.
func ReadEnvFile(path string, env map[string]string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxEnvFile+1))
	if err != nil {
		return err
	}
	if len(data) > maxEnvFile {
		return name.Usage("%s:1: an env file of more than 1 MiB", path)
	}
	r := envReader{rest: string(bytes.TrimPrefix(data, []byte("\ufeff"))), line: 1}
	read := map[string]string{}
	for r.rest != "" {
		line := r.line
		if err := r.variable(read); err != nil {
			return name.Usage("%s:%d: %v", path, line, err)
		}
	}
	maps.Copy(env, read)
	return nil
}

// envReader has the text from the line on.
type envReader struct {
	rest string
	line int
}

// next goes past a line and returns it without its end.
func (r *envReader) next() string {
	line, rest, _ := strings.Cut(r.rest, "\n")
	r.rest = rest
	r.line++
	return strings.TrimSuffix(line, "\r")
}

var envKey = lazy.Regexp(`^(?:export[ \t]+)?([\w.-]+)[ \t]*$`)

// variable reads the next variable, if the next line has one.
func (r *envReader) variable(env map[string]string) error {
	line := r.next()
	if err := checkEnvText(line); err != nil {
		return err
	}
	text := strings.TrimLeft(line, " \t")
	if text == "" || text[0] == '#' {
		return nil
	}
	left, value, ok := strings.Cut(text, "=")
	key := envKey().FindStringSubmatch(left)
	switch {
	case !ok:
		return fmt.Errorf("not KEY=VALUE: %q; KEY= is an empty value", text)
	case key == nil:
		return fmt.Errorf("not KEY=VALUE, KEY of letters, digits and _ . -: %q", text)
	}
	value, err := r.value(value)
	if err != nil {
		return fmt.Errorf("%s: %w", key[1], err)
	}
	env[key[1]] = value
	return nil
}

// checkEnvText returns an error for bytes that cannot be meant in a line.
func checkEnvText(line string) error {
	switch {
	case strings.Contains(line, "\x00"):
		return fmt.Errorf("a NUL byte")
	case strings.Contains(line, "\r"):
		return fmt.Errorf("a carriage return that ends no line")
	case !utf8.ValidString(line):
		return fmt.Errorf("not UTF-8")
	}
	return nil
}

// value reads a value that begins in the line just read, after the =, and goes past its last
// line.
func (r *envReader) value(all string) (string, error) {
	text := strings.TrimLeft(all, " \t")
	if text == "" || !strings.Contains("'\"`", text[:1]) {
		return plainEnvValue(all)
	}
	quote, line := text[:1], text[1:]
	var lines []string
	for !strings.Contains(line, quote) {
		if r.rest == "" {
			return "", fmt.Errorf("the %s of the value is not closed", quote)
		}
		lines = append(lines, line)
		line = r.next()
		if err := checkEnvText(line); err != nil {
			return "", err
		}
	}
	line, after, _ := strings.Cut(line, quote)
	text = strings.Join(append(lines, line), "\n")
	after = strings.TrimLeft(after, " \t")
	switch {
	case strings.HasSuffix(text, `\`):
		return "", fmt.Errorf(`\%s: dotenv and docker compose read this in two ways; use other quotes around the value`, quote)
	case after != "" && after[0] != '#':
		return "", fmt.Errorf("%q after the closing %s", after, quote)
	case quote == `"`:
		return unescapeEnvValue(text)
	}
	return text, nil
}

// plainEnvValue is a value without quotes.
func plainEnvValue(text string) (string, error) {
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] != '#':
		case i > 0 && (text[i-1] == ' ' || text[i-1] == '\t'):
			return strings.Trim(text[:i], " \t"), nil
		default:
			return "", fmt.Errorf(`a # that may begin a comment or not: %q; put the value in quotes, or a blank before the comment`, text)
		}
	}
	return strings.Trim(text, " \t"), nil
}

// unescapeEnvValue replaces \n and \r. Other backslashes mean something else to each reader.
func unescapeEnvValue(text string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			b.WriteByte(text[i])
			continue
		}
		i++ // value() refuses a backslash at the end
		switch text[i] {
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		default:
			return "", fmt.Errorf(`\%c in double quotes: dotenv and docker compose read this in two ways; use single quotes`, []rune(text[i:])[0])
		}
	}
	return b.String(), nil
}
