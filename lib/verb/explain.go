package verb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"pipex/lib/step"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

// Explained is what a step would be, were it prepared now.
type Explained struct {
	Fingerprint string           `json:"fingerprint"`
	Ingredients step.Ingredients `json:"-"`
	// RunID is a committed, successful run with that fingerprint, if any.
	RunID string `json:"run,omitempty"`
	// Differences are those from the step's current run.
	Differences []Difference `json:"differences"`
}

// Difference is one thing about a step that is not what it was.
type Difference struct {
	What string `json:"what"`
	// Was and Is are the two values, Detail is what can be told of what has none.
	Was    string `json:"was,omitempty"`
	Is     string `json:"is,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// String is the difference in one line.
func (d Difference) String() string {
	if d.Detail != "" {
		return d.What + ": " + d.Detail
	}
	return d.What + ": " + d.Was + " -> " + d.Is
}

// Explain tells what the step's fingerprint is and, if the step has a name, in what
// it differs from the run that the name stands for. It creates nothing, and takes
// the workspace lock, shared. The image must be here.
func (p Prepare) Explain(ctx context.Context) (*Explained, error) {
	p.RunID = ""
	d, err := p.decide(ctx)
	if err != nil {
		return nil, err
	}
	defer d.close()
	if d.ws != nil {
		shared, err := d.ws.Shared(ctx)
		if err != nil {
			return nil, err
		}
		defer shared.Release()
	}
	m, err := p.meta(ctx, d)
	if err != nil {
		return nil, err
	}
	e := &Explained{Fingerprint: m.Fingerprint, Ingredients: ingredients(m), Differences: []Difference{}}
	if d.ws == nil {
		e.Differences = append(e.Differences, neverRun(m.StepID))
		return e, nil
	}
	if e.RunID, err = lookup(d.ws, m.Fingerprint); err != nil || m.StepID == "" {
		return e, err
	}
	now, err := current(d.ws, m.StepID)
	switch {
	case errors.Is(err, workspace.ErrNoStep), errors.Is(err, workspace.ErrNoRun):
		e.Differences = append(e.Differences, neverRun(m.StepID))
	case err != nil:
		return nil, err
	default:
		c := comparison{ws: d.ws, trees: d.host.trees, was: now.meta, is: m, run: now.run}
		e.Differences = append(e.Differences, c.compare()...)
	}
	if e.RunID != "" && e.RunID != now.run.ID {
		e.Differences = append(e.Differences, Difference{What: "run " + e.RunID, Detail: "has this fingerprint"})
	}
	return e, nil
}

func neverRun(name string) Difference {
	return Difference{What: fmt.Sprintf("step %s", name), Detail: "has no run yet"}
}

type committedRun struct {
	run  workspace.Run
	meta *workspace.Meta
}

// current is the run that a step's name stands for.
func current(ws *workspace.Workspace, name string) (c committedRun, err error) {
	id, err := ws.Linked(name)
	if err == nil {
		c.run, err = ws.Run(id)
	}
	if err == nil {
		c.meta, err = c.run.Meta()
	}
	return c, err
}

// comparison tells a run from what would be prepared now.
type comparison struct {
	ws      *workspace.Workspace
	run     workspace.Run
	was, is *workspace.Meta
	trees   map[string]*tree.Tree // of now, by digest
	found   []Difference
}

func (c *comparison) compare() []Difference {
	was, is := ingredients(c.was), ingredients(c.is)
	if c.was.Fingerprint != c.is.Fingerprint {
		c.image()
		c.values(was, is)
		c.env()
		c.inputs()
		c.contents("mount", c.was.Mounts, c.is.Mounts)
		c.contents("source", c.was.Sources, c.is.Sources)
		if len(c.found) == 0 {
			c.detail("fingerprint", "is of another version or tool: %s", orNone(c.was.Version))
		}
	}
	if c.was.Status != workspace.Success {
		c.detail("run "+c.was.RunID, "it failed")
	}
	return c.found
}

func (c *comparison) detail(what, format string, args ...any) {
	c.found = append(c.found, Difference{What: what, Detail: fmt.Sprintf(format, args...)})
}

func (c *comparison) value(what, was, is string) {
	if was != is {
		c.found = append(c.found, Difference{What: what, Was: orNone(was), Is: orNone(is)})
	}
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

func (c *comparison) image() {
	if c.was.ImageID == c.is.ImageID {
		return
	}
	if c.was.Image != c.is.Image {
		c.value("image", c.was.Image, c.is.Image)
		return
	}
	c.value("image "+c.is.Image, c.was.ImageID, c.is.ImageID)
}

// values compares what is told by its value.
func (c *comparison) values(was, is step.Ingredients) {
	for _, v := range []struct {
		what    string
		was, is string
	}{
		{"command", quote(was.Cmd), quote(is.Cmd)},
		{"entrypoint", program(was.Entrypoint), program(is.Entrypoint)},
		{"setup", prelude(was.Setup), prelude(is.Setup)},
		{"working directory", was.Cwd, is.Cwd},
		{"user", was.User, is.User},
		{"network", string(was.Network), string(is.Network)},
		{"output", was.Output, is.Output},
		{"host name", was.Hostname, is.Hostname},
		{"read-only", strconv.FormatBool(was.ReadOnly), strconv.FormatBool(is.ReadOnly)},
		{"userns", strconv.FormatBool(was.Userns), strconv.FormatBool(is.Userns)},
		{"caches", placesText(was.Caches), placesText(is.Caches)},
		{"tmpfs", set(was.Tmpfs), set(is.Tmpfs)},
		{"secrets", set(was.Secrets), set(is.Secrets)},
		{"devices", set(was.Devices), set(is.Devices)},
		{"added capabilities", set(was.CapAdd), set(is.CapAdd)},
		{"dropped capabilities", set(was.CapDrop), set(is.CapDrop)},
	} {
		c.value(v.what, v.was, v.is)
	}
}

// quote writes a command as a shell would read it again.
func quote(args []string) string {
	var words []string
	for _, arg := range args {
		if arg == "" || strings.Trim(arg, plain) != "" {
			arg = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}

// plain is what no shell takes for anything else.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%"

func program(args *[]string) string {
	if args == nil {
		return "the image's"
	}
	return quote(*args)
}

func prelude(s *step.Prelude) string {
	if s == nil {
		return ""
	}
	return strings.Join(slices.DeleteFunc([]string{quote(s.Cmd), "network " + string(s.Network), placesText(s.Caches)}, func(t string) bool { return t == "" }), ", ")
}

func placesText(caches [][2]string) string {
	var list []string
	for _, c := range caches {
		list = append(list, c[0]+":"+c[1])
	}
	return set(list)
}

func set(list []string) string {
	list = slices.Sorted(slices.Values(list))
	return strings.Join(list, " ")
}

func (c *comparison) env() {
	keys := slices.Collect(maps.Keys(c.was.Env))
	for key := range c.is.Env {
		if _, ok := c.was.Env[key]; !ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		was, had := c.was.Env[key]
		is, has := c.is.Env[key]
		switch {
		case !had:
			c.detail("env "+key, "added, %s", quote([]string{is}))
		case !has:
			c.detail("env "+key, "removed, was %s", quote([]string{was}))
		case was != is:
			c.value("env "+key, quote([]string{was}), quote([]string{is}))
		}
	}
}

func (c *comparison) inputs() {
	kind := func(in workspace.Input) string {
		if in.Copied {
			return "copied input " + in.Step
		}
		return "input " + in.Step
	}
	same := func(a, b workspace.Input) bool {
		return a.Step == b.Step && a.MountedAs == b.MountedAs && a.Copied == b.Copied
	}
	before := len(c.found)
	for _, is := range c.is.Inputs {
		i := slices.IndexFunc(c.was.Inputs, func(was workspace.Input) bool { return same(was, is) })
		if i < 0 {
			c.detail(kind(is), "added%s", at(is.MountedAs))
		} else if was := c.was.Inputs[i]; was.Digest != is.Digest {
			c.detail(kind(is), "%s", changes(c.artifacts(was), c.artifacts(is)))
		}
	}
	for _, was := range c.was.Inputs {
		if !slices.ContainsFunc(c.is.Inputs, func(is workspace.Input) bool { return same(was, is) }) {
			c.detail(kind(was), "removed%s", at(was.MountedAs))
		}
	}
	if len(c.found) == before && len(c.is.Inputs) > 1 && !slices.EqualFunc(c.was.Inputs, c.is.Inputs, same) {
		c.detail("inputs", "in another order")
	}
}

func at(path string) string {
	if path == "" {
		return ""
	}
	return ", at " + path
}

// artifacts are those of an input, nil if they are gone.
func (c *comparison) artifacts(in workspace.Input) *tree.Tree {
	run, err := c.ws.Run(in.RunID)
	if err != nil {
		return nil
	}
	return run.Tree(in.Digest)
}

// contents compares mounts, or sources, by where the step sees them.
func (c *comparison) contents(kind string, was, is []workspace.Mount) {
	find := func(list []workspace.Mount, path string) int {
		return slices.IndexFunc(list, func(m workspace.Mount) bool { return m.ContainerPath == path })
	}
	for _, m := range is {
		what := kind + " " + short(m.HostPath)
		if i := find(was, m.ContainerPath); i < 0 {
			c.detail(what, "added%s", at(m.ContainerPath))
		} else if was[i].Digest != m.Digest {
			c.detail(what, "%s", changes(c.run.Tree(was[i].Digest), c.trees[m.Digest]))
		}
	}
	for _, m := range was {
		if find(is, m.ContainerPath) < 0 {
			c.detail(kind+" "+short(m.HostPath), "removed%s", at(m.ContainerPath))
		}
	}
}

// short is a path as somebody who works here would write it.
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

// named is how many changed files are told by name.
const named = 2

// changes tells which files differ between two trees; nil is one that nothing more
// is known of than that it was another.
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

// printable is a name that a terminal takes for nothing else.
func printable(name string) string {
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}
