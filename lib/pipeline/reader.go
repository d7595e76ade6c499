package pipeline

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"pipex/lib/name"
	"pipex/lib/pipeline/jexl"
	"pipex/lib/pipeline/kits"
)

// reader collects what is wrong with a file, so that a person hears of all of it;
// what is read goes on with the zero value.
type reader struct {
	file     string
	dir      string            // that host paths are relative to, absolute
	root     string            // the project's directory, which they do not leave
	kitDir   string            // of the kit whose answer is read, which they may be in, too
	chained  bool              // what is read is another kit's call of a built-in one
	aliases  map[string]string // of kits
	kits     *kits.Runner
	lookup   func(string) (string, bool)
	problems []problem
	// absent are host paths that are not there, of the step being read; that is
	// wrong only if the step is going to run.
	absent []problem
}

type problem struct {
	line int
	text string
}

func (r *reader) fail(at *yaml.Node, format string, args ...any) {
	r.problems = append(r.problems, problem{at.Line, fmt.Sprintf(format, args...)})
}

// err is all that was wrong so far, in order of the lines.
func (r *reader) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(r.problems, func(a, b problem) int { return a.line - b.line })
	var all Errors
	for _, p := range r.problems {
		all = append(all, name.Usage("%s:%d: %s", r.file, p.line, p.text))
	}
	return all
}

// object is a mapping of which all keys are known. The zero one is empty.
type object struct {
	*reader
	node   *yaml.Node
	values map[string]*yaml.Node
}

// object reads a mapping; keys are those that it may have, or any if there are none.
func (r *reader) object(n *yaml.Node, what string, keys ...string) object {
	o := object{r, n, map[string]*yaml.Node{}}
	if n.Kind != yaml.MappingNode {
		r.fail(n, "%s: a mapping is wanted, not %s", what, shown(n))
		return o
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := follow(n.Content[i]), follow(n.Content[i+1])
		name := key.Value
		switch _, taken := o.values[name]; {
		case key.Kind != yaml.ScalarNode:
			r.fail(n.Content[i], "%s: a key is %s", what, shown(key))
		case taken:
			r.fail(n.Content[i], "%s: the key %q is there twice", what, name)
		case len(keys) > 0 && strings.HasPrefix(name, "x-"): // for people, and anchors
		case len(keys) > 0 && !slices.Contains(keys, name):
			r.fail(n.Content[i], "%s: unknown key %q; %s", what, name, suggest(name, keys))
		default:
			o.values[name] = value
		}
	}
	return o
}

// suggest is the known name that a word may have been meant to be, or all of them.
func suggest(word string, known []string) string {
	best := name.Near(word, known)
	if best == "" {
		return "known are " + strings.Join(known, ", ")
	}
	return "is it " + best + "?"
}

// get is the value of a key, nil if it is left out or null.
func (o object) get(key string) *yaml.Node {
	if n := o.values[key]; !isNull(n) {
		return n
	}
	return nil
}

func (o object) wrong(key, wanted string) {
	n := o.get(key)
	o.fail(n, "%s: %s is wanted, not %s", key, wanted, shown(n))
}

// text reads a string, "" if there is none.
func (o object) text(key string) string {
	n := o.get(key)
	if n == nil {
		return ""
	}
	v, ok := scalar(n)
	switch v := v.(type) {
	case string:
		if !ok {
			break
		}
		if v == "" {
			o.fail(n, "%s is empty", key)
		}
		return v
	case bool, float64:
		o.wrong(key, "a text in quotes")
		return ""
	}
	o.wrong(key, "a text")
	return ""
}

// literal reads a text, or a number as it is written: version 3.10 is not 3.1.
func (o object) literal(key, otherwise string) string {
	n := o.get(key)
	if n == nil {
		return otherwise
	}
	if v, _ := scalar(n); isNumber(v) {
		return n.Value
	}
	return o.text(key)
}

func isNumber(v any) bool {
	_, ok := v.(float64)
	return ok
}

// flag reads true or false; set tells whether it was there.
func (o object) flag(key string) (value, set bool) {
	n := o.get(key)
	if n == nil {
		return false, false
	}
	v, _ := scalar(n)
	value, ok := v.(bool)
	if !ok {
		o.wrong(key, "true or false")
	}
	return value, ok
}

// number reads one that is not negative.
func (o object) number(key string, otherwise float64) float64 {
	n := o.get(key)
	if n == nil {
		return otherwise
	}
	v, _ := scalar(n)
	f, ok := v.(float64)
	if !ok || f < 0 {
		o.wrong(key, "a number, 0 or more,")
		return otherwise
	}
	return f
}

func (o object) count(key string) int {
	f := o.number(key, 0)
	if f != math.Trunc(f) || f > math.MaxInt32 {
		o.wrong(key, "a whole number")
		return 0
	}
	return int(f)
}

// duration reads a number of units.
func (o object) duration(key string, otherwise float64, unit time.Duration) time.Duration {
	f := o.number(key, otherwise) * float64(unit)
	if f >= math.MaxInt64 {
		o.wrong(key, "a shorter time")
		return 0
	}
	return time.Duration(f)
}

func (o object) list(key string) []*yaml.Node {
	n := o.get(key)
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		o.wrong(key, "a list")
		return nil
	}
	items := make([]*yaml.Node, len(n.Content))
	for i, item := range n.Content {
		items[i] = follow(item)
	}
	return items
}

// texts reads a list of texts, numbers and bools, which become texts as in
// JavaScript.
func (o object) texts(key string) []string {
	var texts []string
	for _, n := range o.list(key) {
		v, ok := scalar(n)
		if !ok || v == nil {
			o.fail(n, "%s: a text is wanted, not %s", key, shown(n))
			continue
		}
		texts = append(texts, jexl.Text(v))
	}
	return texts
}

// command reads a list of texts that is not empty.
func (o object) command(key, what string) []string {
	cmd := o.texts(key)
	if len(cmd) == 0 && o.values[key] == nil && o.node.Kind == yaml.MappingNode {
		o.fail(o.node, "%s: %s is missing", what, key)
	} else if len(cmd) == 0 && o.values[key] != nil && len(o.list(key)) == 0 {
		o.fail(o.values[key], "%s: %s is empty", what, key)
	}
	return cmd
}

func (o object) environment(key string) map[string]string {
	n := o.get(key)
	if n == nil {
		return nil
	}
	env := map[string]string{}
	for name, value := range o.object(n, key).values {
		v, ok := scalar(value)
		switch {
		case ok && v == nil:
			o.fail(value, `%s: %s has no value; write "" for an empty one`, key, name)
		case !ok:
			o.fail(value, "%s: %s: a text is wanted, not %s", key, name, shown(value))
		default:
			env[name] = jexl.Text(v)
		}
	}
	return env
}

func (o object) name(key, kind string) string {
	text := o.text(key)
	if text == "" {
		return ""
	}
	if err := name.Check(kind, text); err != nil {
		o.fail(o.get(key), "%s", err)
	}
	return text
}

// require says that a key must be there.
func (o object) require(what string, keys ...string) {
	for _, key := range keys {
		if o.node.Kind == yaml.MappingNode && o.get(key) == nil {
			o.fail(o.node, "%s: %s is missing", what, key)
		}
	}
}

// host reads the path of a file or directory of the project, which must be there. Symbolic
// links are followed.
func (o object) host(key string) string {
	text := o.text(key)
	if text == "" {
		return ""
	}
	full := filepath.Join(o.dir, text)
	if o.kitDir != "" && filepath.IsAbs(text) {
		full = filepath.Clean(text)
		if inside(o.kitDir, full) || inside(o.root, full) {
			return o.there(key, text, full)
		}
	}
	if !filepath.IsAbs(text) && !inside(o.root, full) {
		o.fail(o.get(key), "%s: %q leaves the project's directory %q; start pipex-run in a directory above both", key, text, o.root)
		return ""
	}
	return o.exists(key, text)
}

// inside tells whether a clean path is a directory or below it.
func inside(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

func (o object) exists(key, text string) string {
	if filepath.IsAbs(text) {
		o.fail(o.get(key), "%s: %q is absolute; it has to be relative to the pipeline's directory", key, text)
		return ""
	}
	return o.there(key, text, filepath.Join(o.dir, text))
}

func (o object) there(key, text, full string) string {
	if _, err := os.Stat(full); err != nil {
		o.absent = append(o.absent, problem{o.get(key).Line, fmt.Sprintf("%s: cannot use %q: %v", key, text, reason(err))})
	}
	return full
}

// reason is an error without the path, which the message names already.
func reason(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// container reads the path of something in the container.
func (o object) container(key string) string {
	text := o.text(key)
	if text == "" {
		return ""
	}
	if trimmed := strings.TrimRight(text, "/"); trimmed != "" {
		text = trimmed
	}
	if clean := path.Clean("/" + text); clean != text {
		o.fail(o.get(key), "%s: %q is not absolute and clean, such as %q", key, text, clean)
	}
	return text
}
