package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"pipex/lib/pipeline/kits"
	"pipex/lib/step"
)

// builtin are the kits that need no file, by name.
var builtin = map[string]func(object) recipe{
	"shell":  object.shell,
	"node":   func(o object) recipe { return o.language(node) },
	"python": func(o object) recipe { return o.language(python) },
}

// findKit says where the kit of a name is: what the configuration calls so, a file of the
// project's kits directory, a built-in one, or else a file or an npm package by its path.
func (r *reader) findKit(called string) (kits.Kit, error) {
	if target := r.aliases[called]; target != "" {
		return r.kitAt(called, target), nil
	}
	if called != "" && filepath.IsLocal(called) {
		for _, path := range []string{filepath.Join(called, "index.js"), called + ".js"} {
			path = filepath.Join(r.root, "kits", path)
			if info, err := os.Stat(path); err == nil && !info.IsDir() {
				return kits.Kit{Name: called, File: path}, nil
			}
		}
	}
	if builtin[called] != nil {
		return kits.Kit{Name: called}, nil
	}
	if strings.Contains(called, "/") {
		return r.kitAt(called, called), nil
	}
	known := slices.Concat(slices.Collect(maps.Keys(builtin)), slices.Collect(maps.Keys(r.aliases)))
	slices.Sort(known)
	return kits.Kit{}, fmt.Errorf("unknown kit %q; %s; one of your own is kits/%s.js", called, suggest(called, known), called)
}

// kitAt is the kit that a path means: a file if it begins as one, else an npm package.
func (r *reader) kitAt(called, target string) kits.Kit {
	switch {
	case filepath.IsAbs(target):
		return kits.Kit{Name: called, File: target}
	case strings.HasPrefix(target, "./"), strings.HasPrefix(target, "../"):
		return kits.Kit{Name: called, File: filepath.Join(r.root, target)}
	}
	return kits.Kit{Name: called, Module: target}
}

// custom is the recipe of a kit that is a JavaScript module.
func (o object) custom(kit kits.Kit) recipe {
	uses := o.get("uses")
	with := json.RawMessage("{}")
	if n := o.get("with"); n != nil {
		v, err := plainValue(n)
		if err == nil && n.Kind != yaml.MappingNode {
			err = errors.New("a mapping is wanted, not " + shown(n))
		}
		if err == nil {
			with, err = json.Marshal(v)
		}
		if err != nil {
			o.fail(n, "with: %v", err)
			return recipe{}
		}
	}
	answer, err := o.kits.Eval(kit, with)
	if err != nil {
		o.fail(uses, "uses: kit %q: %v", kit.Name, err)
		return recipe{}
	}
	r, wrong := o.answer(answer)
	for _, p := range wrong {
		o.fail(uses, "uses: what kit %q returned: %s", kit.Name, p.text)
	}
	return r
}

// answer reads what a kit returned. Its host paths are relative to the pipeline's directory,
// or absolute, of the project or of the kit's own directory.
func (o object) answer(a kits.Answer) (recipe, []problem) {
	in := &reader{dir: o.dir, root: o.root, kitDir: a.Dir}
	n, err := parseJSON("", a.Output)
	if err != nil {
		return recipe{}, []problem{{0, err.Error()}}
	}
	from := in.object(n, "kit", "image", "cmd", "setup", "env", "caches", "mounts", "sources", "allowNetwork", "capAdd")
	from.require("kit", "image")
	r := recipe{image: from.text("image"), cmd: from.command("cmd", "kit"), setup: from.setup(), env: from.environment("env"), caches: from.caches("caches"),
		mounts: from.mounts("mounts"), sources: from.mounts("sources"), capAdd: from.texts("capAdd")}
	if allowed, set := from.flag("allowNetwork"); set {
		r.network = &allowed
	}
	o.absent = append(o.absent, in.absent...)
	return r, in.problems
}

// resolveBuiltin is what a built-in kit returns to a kit that uses it. The command may be
// left out: most such kits have their own.
func (r *reader) resolveBuiltin(called string, with json.RawMessage) (json.RawMessage, error) {
	n, err := parseJSON("", with)
	if err != nil {
		return nil, err
	}
	in := &reader{dir: r.dir, root: r.root, chained: true}
	text := func(s string) *yaml.Node {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.TaggedStyle, Value: s}
	}
	o := in.object(&yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{text("uses"), text(called), text("with"), n}}, "kit")
	made := builtin[called](o)
	if len(in.problems) > 0 {
		return nil, errors.New(in.problems[0].text)
	}
	return json.Marshal(made.output(r.dir))
}

// output is a recipe in the form in which kits have it.
func (r recipe) output(dir string) map[string]any {
	type mount struct {
		Host      string `json:"host"`
		Container string `json:"container"`
	}
	type cache struct {
		Name      string `json:"name"`
		Path      string `json:"path"`
		Exclusive bool   `json:"exclusive,omitempty"`
	}
	out := map[string]any{"image": r.image}
	if len(r.cmd) > 0 {
		out["cmd"] = r.cmd
	}
	for key, list := range map[string][]step.Mount{"mounts": r.mounts, "sources": r.sources} {
		var all []mount
		for _, m := range list {
			host, err := filepath.Rel(dir, m.Host)
			if err != nil {
				host = m.Host
			}
			all = append(all, mount{host, m.Path})
		}
		if all != nil {
			out[key] = all
		}
	}
	if r.setup != nil {
		setup := map[string]any{"cmd": r.setup.cmd, "allowNetwork": r.setup.network != nil && *r.setup.network}
		var all []cache
		for _, c := range r.setup.caches {
			all = append(all, cache{c.Name, c.Path, c.Exclusive})
		}
		if all != nil {
			setup["caches"] = all
		}
		out["setup"] = setup
	}
	if len(r.capAdd) > 0 {
		out["capAdd"] = r.capAdd
	}
	return out
}

// maxNodes bounds the parameters of a kit: aliases may stand for much more than is written,
// even for what they are in.
const maxNodes = 10_000

// plainValue is a node as JSON has it.
func plainValue(n *yaml.Node) (any, error) {
	left := maxNodes
	return plainNode(n, &left)
}

func plainNode(n *yaml.Node, left *int) (any, error) {
	if *left--; *left < 0 {
		return nil, fmt.Errorf("more than %d values", maxNodes)
	}
	switch n = follow(n); n.Kind {
	case yaml.MappingNode:
		object := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := follow(n.Content[i])
			if key.Kind != yaml.ScalarNode {
				return nil, errors.New("a key is " + shown(key))
			}
			if _, taken := object[key.Value]; taken {
				return nil, fmt.Errorf("the key %q is there twice", key.Value)
			}
			v, err := plainNode(n.Content[i+1], left)
			if err != nil {
				return nil, err
			}
			object[key.Value] = v
		}
		return object, nil
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			v, err := plainNode(item, left)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	}
	v, ok := scalar(n)
	if f, number := v.(float64); !ok || number && (math.IsInf(f, 0) || math.IsNaN(f)) {
		return nil, errors.New("no value is " + shown(n))
	}
	return v, nil
}
