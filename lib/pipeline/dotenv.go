package pipeline

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// readEnvFile reads a file of variables.
func readEnvFile(path string) (map[string]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read %q: %w", path, reason(err))
	}
	return parseEnv(string(data)), nil
}

var (
	variable = regexp.MustCompile(`^\s*(?:export\s+)?([\w.-]+)(?:[ \t]*=|:[ \t])[ \t]*`)
	nothing  = regexp.MustCompile(`^[ \t]*(?:#.*)?(?:\n|$)`)
	newlines = strings.NewReplacer(`\n`, "\n", `\r`, "\r")
)

// parseEnv reads the lines of a dotenv file: KEY=VALUE or "KEY: VALUE", with "export"
// before it or not. A quoted value may have several lines; one that is not ends at
// "#". No variable is expanded, the last one of a name counts, and a line that is no
// variable is passed over.
func parseEnv(text string) map[string]string {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	env := map[string]string{}
	for text != "" {
		found := variable.FindStringSubmatch(text)
		if found == nil {
			_, text, _ = strings.Cut(strings.TrimLeft(text, " \t\n"), "\n")
			continue
		}
		env[found[1]], text = value(text[len(found[0]):])
	}
	return env
}

// value reads one that begins a text, and returns what comes after its line.
func value(text string) (value, rest string) {
	if n := quoted(text); n > 0 {
		if line := nothing.FindString(text[n:]); line != "" || n == len(text) {
			return unquote(text[:n]), text[n+len(line):]
		}
	}
	line, rest, _ := strings.Cut(text, "\n")
	line, _, _ = strings.Cut(line, "#")
	return unquote(strings.TrimSpace(line)), rest
}

// quoted is how long the quoted value is that begins a text; 0 for none.
func quoted(text string) int {
	if text == "" || !strings.Contains("'\"`", text[:1]) {
		return 0
	}
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			if i+1 < len(text) && text[i+1] == text[0] {
				i++
			}
		case text[0]:
			return i + 1
		}
	}
	return 0
}

// unquote takes off the quotes, between which a backslash stays what it is, but for
// line ends in double quotes.
func unquote(text string) string {
	if len(text) < 2 || !strings.Contains("'\"`", text[:1]) || text[0] != text[len(text)-1] {
		return text
	}
	inner := text[1 : len(text)-1]
	if text[0] == '"' {
		return newlines.Replace(inner)
	}
	return inner
}
