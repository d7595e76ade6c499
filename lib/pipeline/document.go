package pipeline

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"pipex/lib/internal/lazy"
	"pipex/lib/name"

	"go.yaml.in/yaml/v3"
)

// Errors are all that is wrong with a file, in order of its lines; each is a
// [*name.UsageError] that begins with FILE:LINE.
type Errors []error

func (e Errors) Error() string   { return errors.Join(e...).Error() }
func (e Errors) Unwrap() []error { return e }

// parse reads the one document of a file, YAML by its name or else JSON.
func parse(path string, data []byte) (*yaml.Node, error) {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".yaml", ".yml":
		return parseYAML(path, data)
	}
	return parseJSON(path, data)
}

// yamlLine is how the library begins an error. Its line is often that where the broken part
// begins, or the one before.
var yamlLine = lazy.Regexp(`^yaml: (?:line (\d+): )?`)

func parseYAML(path string, data []byte) (*yaml.Node, error) {
	document, err := decodeYAML(data)
	if err == nil {
		return document, nil
	}
	text := yamlLine().ReplaceAllString(err.Error(), "")
	if strings.Contains(text, "cannot start any token") {
		text += "; put the value in quotes"
	}
	return nil, name.Usage("%s:%d: %s", path, brokenLine(data, err), text)
}

// decodeYAML returns the one document, nil if there is none.
func decodeYAML(data []byte) (*yaml.Node, error) {
	d := yaml.NewDecoder(bytes.NewReader(data))
	var document, more yaml.Node
	if err := d.Decode(&document); err == io.EOF {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := d.Decode(&more); err == nil {
		return nil, errors.New("a second document; a file has one")
	} else if err != io.EOF {
		return nil, err
	}
	return document.Content[0], nil
}

// maxSearch bounds the time in which it is found where a broken part begins: each try reads
// the file up to there.
const maxSearch = time.Second

// brokenLine is the line after which a file was still whole: the broken one, or the first of
// a list, mapping or text that has no end.
func brokenLine(data []byte, broken error) int {
	lines := bytes.SplitAfter(data, []byte("\n"))
	ends := make([]int, len(lines)+1)
	for i, line := range lines {
		ends[i+1] = ends[i] + len(line)
	}
	// The error is the same with the line that it is at, and all after it.
	at := 1 + sort.Search(len(lines)-1, func(i int) bool {
		_, err := decodeYAML(data[:ends[i+1]])
		return err != nil && err.Error() == broken.Error()
	})
	for n, began := at, time.Now(); n > 0 && time.Since(began) < maxSearch; n-- {
		if _, err := decodeYAML(data[:ends[n-1]]); err == nil {
			return n
		}
	}
	return at
}

// parseJSON gives JSON the form that YAML has, by tokens: JSON has escapes and tabs
// that YAML has not.
func parseJSON(path string, data []byte) (*yaml.Node, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	line := func(offset int64) int { return 1 + bytes.Count(data[:min(offset, int64(len(data)))], []byte("\n")) }
	node, err := readJSON(d, line)
	if err == nil {
		if _, err = d.Token(); err == io.EOF {
			return node, nil
		}
		if err == nil {
			err = errors.New("more than one value")
		}
	}
	at := d.InputOffset()
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		at = syntax.Offset
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		at, err = int64(len(data)), errors.New("the file ends too early")
	}
	return nil, name.Usage("%s:%d: no JSON: %v", path, line(at), err)
}

func readJSON(d *json.Decoder, line func(int64) int) (*yaml.Node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	node := &yaml.Node{Kind: yaml.ScalarNode, Style: yaml.TaggedStyle, Tag: "!!str", Line: line(d.InputOffset())}
	switch token := token.(type) {
	case json.Delim:
		node.Kind, node.Tag = yaml.SequenceNode, ""
		if token == '{' {
			node.Kind = yaml.MappingNode
		}
		for d.More() {
			child, err := readJSON(d, line)
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, child)
		}
		_, err = d.Token()
	case string:
		node.Value = token
	case json.Number:
		node.Style, node.Value = 0, token.String()
	case bool:
		node.Style, node.Value = 0, strconv.FormatBool(token)
	default:
		node.Style, node.Value = 0, "null"
	}
	return node, err
}

// The forms of plain scalars in YAML 1.2's core schema; all others are texts.
var (
	plainNull    = lazy.Regexp(`^(~|null|Null|NULL|)$`)
	plainBool    = lazy.Regexp(`^(true|True|TRUE|false|False|FALSE)$`)
	plainInteger = lazy.Regexp(`^([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$`)
	plainFloat   = lazy.Regexp(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
)

// scalar is a node's value: nil, a bool, a float64, or a string. ok is false if it
// is none, or has a tag that is not YAML's own.
func scalar(n *yaml.Node) (value any, ok bool) {
	if n.Kind != yaml.ScalarNode {
		return nil, false
	}
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return n.Value, n.Style&yaml.TaggedStyle == 0 || n.Tag == "!!str" || n.Tag == "!"
	}
	if n.Style&yaml.TaggedStyle != 0 {
		return n.Value, n.Tag == "!!str" || n.Tag == "!"
	}
	switch text := n.Value; {
	case plainNull().MatchString(text):
		return nil, true
	case plainBool().MatchString(text):
		return strings.EqualFold(text, "true"), true
	case strings.HasPrefix(text, "0o"), strings.HasPrefix(text, "0x"):
		if plainInteger().MatchString(text) {
			u, err := strconv.ParseUint(text, 0, 64)
			return float64(u), err == nil
		}
	case plainInteger().MatchString(text), plainFloat().MatchString(text):
		f, err := strconv.ParseFloat(text, 64)
		return f, err == nil
	}
	return n.Value, true
}

// isNull tells whether a value is left out, or might as well be.
func isNull(n *yaml.Node) bool {
	if n == nil {
		return true
	}
	v, ok := scalar(n)
	return ok && v == nil
}

// follow is what an alias stands for.
func follow(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// shown is a node in a message.
func shown(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	if v, ok := scalar(n); ok {
		switch v.(type) {
		case nil:
			return "nothing"
		case string:
			return strconv.Quote(n.Value)
		}
		return n.Value
	}
	return n.Tag + " " + strconv.Quote(n.Value)
}
