package pipeline

import (
	"maps"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"pipex/lib/pipeline/jexl"
	"pipex/lib/step"
)

// entry is a step and where its parts stand in the file.
type entry struct {
	Step
	at     *yaml.Node
	inputs []*yaml.Node // of Step.Inputs, one each
	holds  bool         // its condition
	absent []problem
}

// setup is a step's or a kit's.
type setup struct {
	cmd     []string
	caches  []step.Cache
	network *bool
}

// recipe is what a kit gives a step, or what the step says itself.
type recipe struct {
	image           string
	cmd             []string
	setup           *setup
	mounts, sources []step.Mount
	capAdd          []string
	env             map[string]string
	caches          []step.Cache
	network         *bool
}

// defaultRetryDelay is in milliseconds.
const defaultRetryDelay = 5000

func (b *builder) step(at *yaml.Node) *entry {
	b.absent = nil
	o := b.object(at, "step", "id", "name", "description", "image", "cmd", "uses", "with", "setup", "inputs", "env", "envFile", "outputPath", "mounts", "sources",
		"caches", "if", "timeoutSec", "retries", "retryDelayMs", "allowFailure", "allowNetwork")
	n := &entry{at: at, holds: o.condition("if")}
	if n.ID, n.Name = b.id, o.text("name"); b.id == "" {
		n.ID, n.Name = o.identity("step", "step")
	} else if n.Name == "" {
		n.Name = b.id
	}
	o.text("description")
	n.Inputs = []Input{}
	for _, item := range o.list("inputs") {
		in := o.object(item, "input", "step", "copyToOutput", "optional")
		in.require("input", "step")
		input := Input{Step: in.name("step", "step")}
		input.Copy, _ = in.flag("copyToOutput")
		input.Optional, _ = in.flag("optional")
		n.Inputs, n.inputs = append(n.Inputs, input), append(n.inputs, item)
	}
	n.Retries = o.count("retries")
	n.RetryDelay = step.Duration(o.duration("retryDelayMs", defaultRetryDelay, time.Millisecond))
	n.AllowFailure, _ = o.flag("allowFailure")

	r := o.recipe()
	n.Spec = step.Spec{
		Step: n.ID, Name: n.Name, Image: r.image, Options: step.Options{
			Cmd: r.cmd, CapAdd: r.capAdd, Network: step.NetworkNone, Env: b.variables(o, r.env), Output: o.container("outputPath"),
		},
		Caches: mergeCaches(r.caches, o.caches("caches")),
		Mounts: append(r.mounts, o.mounts("mounts")...), Sources: append(r.sources, o.mounts("sources")...),
		Timeout: step.Duration(o.duration("timeoutSec", 0, time.Second)),
	}
	allowed, set := o.flag("allowNetwork")
	if !set && r.network != nil {
		allowed = *r.network
	}
	if allowed {
		n.Spec.Network = b.network
	}
	if r.setup != nil {
		n.Spec.Setup = r.setup.spec(n.Spec.Caches)
		n.Spec.Setup.Network = step.NetworkNone
		if allowed || r.setup.network != nil && *r.setup.network {
			n.Spec.Setup.Network = b.network
		}
		n.Spec.Entrypoint = &[]string{} // a setup takes its place upstream
	}
	n.absent = b.absent
	return n
}

// condition reads an expression, or its value.
func (o object) condition(key string) bool {
	n := o.get(key)
	if n == nil {
		return true
	}
	switch v, _ := scalar(n); v := v.(type) {
	case bool:
		return v
	case string:
		holds, err := jexl.True(v, o.lookup)
		if err != nil {
			o.fail(n, "%s: cannot read %q: %v", key, v, err)
		}
		return holds
	}
	o.wrong(key, "a condition")
	return false
}

// recipe is the kit's with what the step adds to it, or the step's own.
func (o object) recipe() recipe {
	uses := o.get("uses")
	if uses == nil {
		if n := o.get("with"); n != nil {
			o.fail(n, "with: it is for a kit, and there is no uses")
		}
		o.require("step", "image")
		return recipe{image: o.text("image"), cmd: o.command("cmd", "step"), setup: o.setup()}
	}
	for _, key := range []string{"image", "cmd"} {
		if n := o.get(key); n != nil {
			o.fail(n, "%s: the step uses a kit, which has its own", key)
		}
	}
	r, own := o.kit(), o.setup()
	if own != nil && r.setup != nil {
		own.caches = mergeCaches(r.setup.caches, own.caches)
		if own.network == nil {
			own.network = r.setup.network
		}
	}
	if own != nil {
		r.setup = own
	}
	return r
}

func (o object) setup() *setup {
	n := o.get("setup")
	if n == nil {
		return nil
	}
	in := o.object(n, "setup", "cmd", "caches", "allowNetwork")
	s := &setup{cmd: in.command("cmd", "setup"), caches: in.caches("caches")}
	if allowed, set := in.flag("allowNetwork"); set {
		s.network = &allowed
	}
	return s
}

// spec is the setup as lib/step has it. A cache that the step has, too, is where the
// step has it.
func (s *setup) spec(caches []step.Cache) *step.Setup {
	spec := &step.Setup{Cmd: s.cmd, Caches: slices.Clone(s.caches)}
	for i := range spec.Caches {
		for _, c := range caches {
			if c.Name == spec.Caches[i].Name {
				spec.Caches[i].Path = c.Path
			}
		}
	}
	return spec
}

// mergeCaches has those of both, and of two with one name the second, in the place
// of the first.
func mergeCaches(first, second []step.Cache) []step.Cache {
	all := slices.Clone(first)
	for _, c := range second {
		i := slices.IndexFunc(all, func(other step.Cache) bool { return other.Name == c.Name })
		if i < 0 {
			all = append(all, c)
		} else {
			all[i] = c
		}
	}
	return all
}

func (o object) caches(key string) []step.Cache {
	var list []step.Cache
	for _, item := range o.list(key) {
		in := o.object(item, "cache", "name", "path", "exclusive")
		in.require("cache", "name", "path")
		c := step.Cache{Name: in.name("name", "cache"), Path: in.container("path")}
		c.Exclusive, _ = in.flag("exclusive")
		list = append(list, c)
	}
	return list
}

func (o object) mounts(key string) []step.Mount {
	var list []step.Mount
	for _, item := range o.list(key) {
		in := o.object(item, "mount", "host", "container")
		in.require("mount", "host", "container")
		list = append(list, step.Mount{Host: in.host("host"), Path: in.container("container")})
	}
	return list
}

// variables are the step's: those of its kit, the options, its env file and its own, of
// which the later ones win.
func (b *builder) variables(o object, kit map[string]string) map[string]string {
	var env map[string]string
	add := func(more map[string]string) {
		if env == nil && len(more) > 0 {
			env = map[string]string{}
		}
		maps.Copy(env, more)
	}
	add(kit)
	add(b.env)
	if text := o.text("envFile"); text != "" {
		before := len(b.absent)
		file := o.exists("envFile", text)
		if file != "" && len(b.absent) == before {
			own := map[string]string{}
			if err := step.ReadEnvFile(file, own); err != nil {
				o.fail(o.get("envFile"), "envFile: cannot use %q: %v", text, reason(err))
			}
			add(own)
		}
	}
	add(o.environment("env"))
	return env
}
