package step

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	units "github.com/docker/go-units"

	"pipex/lib/tree"
)

// Difference is one thing that differs between two forms of a step.
type Difference struct {
	What string `json:"what"`
	// Was and Is are the old and the new value; empty if Detail is given.
	Was    string `json:"was,omitempty"`
	Is     string `json:"is,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// String returns the difference in one line of printable characters.
func (d Difference) String() string {
	if d.Detail != "" {
		return oneLine(d.What + ": " + d.Detail)
	}
	return oneLine(d.What + ": " + d.Was + " -> " + d.Is)
}

// oneLine escapes what is not printable.
func oneLine(text string) string {
	var b strings.Builder
	for text != "" {
		r, size := utf8.DecodeRuneInString(text)
		if quoted := strconv.Quote(text[:size]); strconv.IsPrint(r) && r != utf8.RuneError {
			b.WriteRune(r)
		} else {
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		text = text[size:]
	}
	return b.String()
}

// Trees finds the file trees that a step was or is made from. Each function returns
// nil for a tree of which only the digest is known.
type Trees struct {
	// Was and Is return the content of a mount or source with this digest.
	Was, Is func(digest string) *tree.Tree
	// Artifacts returns the artifacts of an input.
	Artifacts func(PinnedInput) *tree.Tree
}

// Differences lists the fields in which the steps was and is differ. It compares the
// fields that are in the fingerprint, and no others. Plain values come first.
func Differences(was, is *Pinned, trees Trees) []Difference {
	c := &comparison{was: was, is: is, trees: trees}
	before, now := was.ingredients(), is.ingredients()
	for _, plain := range []bool{true, false} {
		for i, a := range before {
			if b := now[i]; (a.used != b.used || !bytes.Equal(a.json, b.json)) && a.plain() == plain {
				c.add(a, b)
			}
		}
	}
	return c.found
}

// Others lists the fields in which the steps was and is differ and that are not in the
// fingerprint: the image's name if it is the same image, the title, and the limits.
func Others(was, is *Pinned) []Difference {
	c := &comparison{was: was, is: is}
	value := func(what string, was, is any) {
		text := func(v any) string {
			if reflect.ValueOf(v).IsZero() {
				return ""
			}
			return fmt.Sprint(v)
		}
		if a, b := text(was), text(is); a != b {
			c.value(what, a, b)
		}
	}
	if was.ImageID == is.ImageID {
		value("image name", was.Image, is.Image)
	}
	value("name", was.StepName, is.StepName)
	value("timeout", time.Duration(was.TimeoutMs)*time.Millisecond, time.Duration(is.TimeoutMs)*time.Millisecond)
	a, b := new(PinnedLimits), new(PinnedLimits)
	if was.Limits != nil {
		a = was.Limits
	}
	if is.Limits != nil {
		b = is.Limits
	}
	size := func(n int64) string {
		if n == 0 {
			return ""
		}
		return units.BytesSize(float64(n))
	}
	value("memory", size(a.MemoryBytes), size(b.MemoryBytes))
	value("cpus", a.CPUs, b.CPUs)
	value("pids", a.Pids, b.Pids)
	value("shm-size", size(a.ShmBytes), size(b.ShmBytes))
	value("ulimits", strings.Join(a.Ulimits, " "), strings.Join(b.Ulimits, " "))
	value("log-max", size(a.LogMaxBytes), size(b.LogMaxBytes))
	return c.found
}

// plain reports whether the value is shown as a whole and not part by part.
func (in *ingredient) plain() bool {
	switch in.value.(type) {
	case map[string]string, []PinnedInput, []PinnedMount:
		return false
	}
	return true
}

type comparison struct {
	was, is *Pinned
	trees   Trees
	found   []Difference
}

func (c *comparison) add(a, b ingredient) {
	switch was := a.value.(type) {
	case map[string]string:
		c.variables(was, b.value.(map[string]string))
	case []PinnedInput:
		c.inputs(was, b.value.([]PinnedInput))
	case []PinnedMount:
		c.contents(strings.TrimSuffix(a.label, "s"), was, b.value.([]PinnedMount))
	default:
		switch {
		case a.key != "image":
			c.value(a.label, text(a.value), text(b.value))
		case c.was.Image != c.is.Image:
			c.value("image", c.was.Image, c.is.Image)
		default:
			c.value("image "+c.is.Image, c.was.ImageID, c.is.ImageID)
		}
	}
}

func (c *comparison) detail(what, format string, args ...any) {
	c.found = append(c.found, Difference{What: what, Detail: fmt.Sprintf(format, args...)})
}

func (c *comparison) value(what, was, is string) {
	c.found = append(c.found, Difference{What: what, Was: orNone(was), Is: orNone(is)})
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// text returns a value in a form for people.
func text(value any) string {
	switch v := value.(type) {
	case []string:
		return Quote(v)
	case *[]string:
		if v == nil {
			return "the image's"
		}
		return Quote(*v)
	case []Cache:
		return cachesText(v)
	case []PinnedTmpfs, []Secret:
		return strings.Join(canonical(v, false).([]string), " ")
	case *IDMap:
		return strconv.FormatBool(v != nil)
	case *PinnedSetup:
		if v == nil {
			return ""
		}
		parts := []string{Quote(v.Cmd), "network " + string(v.Network), cachesText(v.CacheMounts)}
		return strings.Join(slices.DeleteFunc(parts, func(t string) bool { return t == "" }), ", ")
	}
	return fmt.Sprint(value)
}

func cachesText(caches []Cache) string {
	var list []string
	for _, c := range caches {
		list = append(list, c.Name+":"+c.Path)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// Quote returns a command in one line, quoted for a POSIX shell.
func Quote(args []string) string {
	var words []string
	for _, arg := range args {
		switch {
		case oneLine(arg) != arg:
			arg = dollarQuote(arg)
		case arg == "" || strings.Trim(arg, plainWord) != "":
			arg = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}

// dollarQuote quotes a text that is not printable with $'...' (POSIX.1-2024, bash).
func dollarQuote(text string) string {
	var b strings.Builder
	for text != "" {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\'' || r == '\\':
			b.WriteString(`\` + text[:size])
		case strconv.IsPrint(r) && r != utf8.RuneError:
			b.WriteString(text[:size])
		default:
			for i := range size {
				fmt.Fprintf(&b, `\%03o`, text[i])
			}
		}
		text = text[size:]
	}
	return "$'" + b.String() + "'"
}

// plainWord holds the characters that need no quoting in a shell.
const plainWord = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%"

func (c *comparison) variables(was, is map[string]string) {
	all := maps.Clone(is)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, was)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		before, had := was[key]
		now, has := is[key]
		switch {
		case !had:
			c.detail("env "+key, "added, %s", Quote([]string{now}))
		case !has:
			c.detail("env "+key, "removed, was %s", Quote([]string{before}))
		case before != now:
			c.value("env "+key, Quote([]string{before}), Quote([]string{now}))
		}
	}
}

func (c *comparison) inputs(was, is []PinnedInput) {
	kind := func(in PinnedInput) string {
		if in.Copied {
			return "copied input " + in.Step
		}
		return "input " + in.Step
	}
	same := func(a, b PinnedInput) bool {
		return a.Step == b.Step && a.MountedAs == b.MountedAs && a.Copied == b.Copied
	}
	before := len(c.found)
	for _, now := range is {
		i := slices.IndexFunc(was, func(old PinnedInput) bool { return same(old, now) })
		if i < 0 {
			c.detail(kind(now), "added%s", at(now.MountedAs))
		} else if old := was[i]; old.Digest != now.Digest {
			c.detail(kind(now), "%s", changes(c.trees.Artifacts(old), c.trees.Artifacts(now)))
		}
	}
	for _, old := range was {
		if !slices.ContainsFunc(is, func(now PinnedInput) bool { return same(old, now) }) {
			c.detail(kind(old), "removed%s", at(old.MountedAs))
		}
	}
	if len(c.found) == before {
		c.detail("inputs", "in another order")
	}
}

func at(path string) string {
	if path == "" {
		return ""
	}
	return ", at " + path
}

// contents compares mounts, or sources, by their paths in the container.
func (c *comparison) contents(kind string, was, is []PinnedMount) {
	find := func(list []PinnedMount, path string) int {
		return slices.IndexFunc(list, func(m PinnedMount) bool { return m.ContainerPath == path })
	}
	for _, m := range is {
		what := kind + " " + short(m.HostPath)
		if i := find(was, m.ContainerPath); i < 0 {
			c.detail(what, "added%s", at(m.ContainerPath))
		} else if was[i].Digest != m.Digest {
			c.detail(what, "%s", changes(c.trees.Was(was[i].Digest), c.trees.Is(m.Digest)))
		}
	}
	for _, m := range was {
		if find(is, m.ContainerPath) < 0 {
			c.detail(kind+" "+short(m.HostPath), "removed%s", at(m.ContainerPath))
		}
	}
}

// short returns path relative to the working directory if it is below it.
func short(path string) string {
	dir, err := os.Getwd()
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(dir, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

// named is how many changed files are listed by name. If there are more, only their
// number is shown, so that the line stays short.
const named = 2

// changes says which files differ between two trees. A tree of which only the
// digest is known is nil.
func changes(was, is *tree.Tree) string {
	if was == nil || is == nil {
		return "content changed"
	}
	words := map[tree.Kind]string{tree.Missing: "removed", tree.Extra: "added"}
	var list []string
	var last string
	for _, d := range was.Compare(is) {
		if d.Path == last || !d.Decides() {
			continue
		}
		last = d.Path
		word, ok := words[d.Kind]
		if !ok {
			word = "changed"
		}
		if d.Path == "." {
			list = append(list, "content changed")
			continue
		}
		list = append(list, printable(d.Path)+" "+word)
	}
	if len(list) > named {
		return fmt.Sprintf("content changed (%d files)", len(list))
	}
	return strings.Join(list, ", ")
}

// printable quotes a name that holds characters which a terminal could interpret.
func printable(name string) string {
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}
