// Package pipeline reads the pipeline files of @livingdata/pipex: steps as YAML or
// JSON, with kits, conditions and inputs, into steps as lib/step has them.
//
// All that can be known to be wrong with a file before something runs is an error,
// with its line; unknown keys are. Of the host only the project's configuration and env files
// are read and the mounted paths looked up. Nothing is fetched, and nothing is executed but
// kits that are JavaScript modules, by node.
package pipeline

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"pipex/lib/name"
	"pipex/lib/pipeline/kits"
	"pipex/lib/step"
)

// Pipeline is a file, resolved.
type Pipeline struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Dir is the file's directory, absolute; host paths are relative to it.
	Dir string `json:"dir"`
	// Workspace is where the steps run: that of the options, else the id.
	Workspace string `json:"workspace"`
	// Detach says that the project's configuration asks for --detach.
	Detach bool `json:"detach,omitempty"`
	// Steps come each after its inputs, else in the order of the file.
	Steps []Step `json:"steps"`
}

// Step is one step. Its inputs are not in the Spec.
type Step struct {
	ID   string    `json:"id"`
	Name string    `json:"name"`
	Spec step.Spec `json:"spec"`
	// Inputs are those that the step gets: without optional ones that are skipped
	// or unknown.
	Inputs       []Input       `json:"inputs"`
	Retries      int           `json:"retries"`
	RetryDelay   step.Duration `json:"retryDelay"`
	AllowFailure bool          `json:"allowFailure"`
	// Skipped says why the step does not run: ByCondition, ByDependency, or "".
	Skipped string `json:"skipped,omitempty"`
}

// The reasons for which a step is skipped: its condition does not hold, a step
// whose output it needs is skipped or has failed, or it is up to date, which its file
// does not tell.
const (
	ByCondition  = "condition"
	ByDependency = "dependency"
	ByCache      = "cached"
)

// Input is a step whose artifacts another one sees.
type Input struct {
	Step string `json:"step"`
	// Optional lets the step run if that one fails.
	Optional bool `json:"optional,omitempty"`
	// Copy has them copied into the output besides.
	Copy bool `json:"copy,omitempty"`
}

// Inputs are what pipex-prepare knows it as, of a run of that step, or of its newest
// one if run is empty.
func (in Input) Inputs(run string) []step.Input {
	inputs := []step.Input{{Step: in.Step, Run: run, Optional: in.Optional}}
	if in.Copy {
		inputs = append(inputs, step.Input{Step: in.Step, Run: run, Optional: in.Optional, Copy: true})
	}
	return inputs
}

// Runnable are the ids of the steps that are not skipped.
func (p *Pipeline) Runnable() (ids []string) {
	for _, s := range p.Steps {
		if s.Skipped == "" {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// Options are what a pipeline's file does not say.
type Options struct {
	Workspace string
	// EnvFile has variables for all steps; those of the steps win.
	EnvFile string
	// Network is what allowNetwork gives; the host's if it is empty.
	Network step.Network
	// Output gets what kits print; it may be nil.
	Output io.Writer
	// Lookup finds the environment variables of conditions; none are set if it is nil.
	Lookup func(string) (string, bool)
}

// names are those that a pipeline's file has in a directory, the first one first.
var names = []string{"pipeline.yml", "pipeline.yaml", "pipeline.json"}

// find is the file that a path means.
func find(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("cannot read pipeline %q: %w", path, reason(err))
	}
	if !info.IsDir() {
		return path, nil
	}
	for _, name := range names {
		file := filepath.Join(path, name)
		if info, err := os.Stat(file); err == nil && !info.IsDir() {
			return file, nil
		}
	}
	return "", fmt.Errorf("cannot find a pipeline in %q: no pipeline.yml, pipeline.yaml or pipeline.json", path)
}

// Load reads the pipeline of a file, or of a directory that has one. What is wrong
// with the file, with a kit, or with the project's configuration are [Errors]; with the
// options, a [*name.UsageError] or a [*name.Error].
func Load(path string, opt Options) (*Pipeline, error) {
	if opt.Workspace != "" {
		if err := name.Check("workspace", opt.Workspace); err != nil {
			return nil, err
		}
	}
	b, document, err := open(path, opt)
	if err != nil {
		return nil, err
	}
	defer b.kits.Close()
	return b.pipeline(document, opt.Workspace)
}

// LoadStep reads a file that is one step of a pipeline, or a directory's pipeline.yml and so
// on. If id is not empty, it is the step's. Errors are those of [Load]. The step's condition
// does not matter.
func LoadStep(path, id string, opt Options) (*Step, error) {
	b, document, err := open(path, opt)
	if err != nil {
		return nil, err
	}
	defer b.kits.Close()
	if id != "" {
		if err := name.Check("step", id); err != nil {
			return nil, err
		}
		b.id = id
	}
	e := b.step(follow(document))
	if err := b.err(); err != nil {
		return nil, err
	}
	b.check([]*entry{e})
	return &e.Step, b.err()
}

// open reads a file and the configuration of its project.
func open(path string, opt Options) (*builder, *yaml.Node, error) {
	file, err := find(path)
	if err != nil {
		return nil, nil, err
	}
	data, err := readFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read pipeline %q: %w", file, reason(err))
	}
	r := &reader{file: file, lookup: opt.Lookup}
	if r.dir, err = filepath.Abs(filepath.Dir(file)); err != nil {
		return nil, nil, err
	}
	here, err := os.Getwd()
	if err != nil {
		return nil, nil, err
	}
	shown := "" // the project's directory in messages
	if r.root = here; !inside(here, r.dir) {
		r.root, shown = r.dir, filepath.Dir(file)
	}
	b := &builder{reader: r, network: opt.Network}
	if b.config, err = readConfig(shown); err != nil {
		return nil, nil, err
	}
	r.aliases = b.config.kits
	r.kits = &kits.Runner{Dir: r.root, Output: opt.Output, Find: r.findKit, Resolve: r.resolveBuiltin}
	if opt.EnvFile != "" {
		b.env = map[string]string{}
		if err := step.ReadEnvFile(opt.EnvFile, b.env); err != nil {
			return nil, nil, fmt.Errorf("cannot read the env file: %w", err)
		}
	}
	if r.lookup == nil {
		r.lookup = func(string) (string, bool) { return "", false }
	}
	if b.network == "" {
		b.network = step.NetworkHost
	}
	document, err := parse(file, data)
	if err == nil && document == nil {
		err = name.Usage("%s:1: the file is empty", file)
	}
	if err != nil {
		return nil, nil, Errors{err}
	}
	return b, document, nil
}

// builder makes a pipeline of a document.
type builder struct {
	*reader
	network step.Network
	env     map[string]string
	config  config
	id      string // of the only step
}

func (b *builder) pipeline(root *yaml.Node, workspace string) (*Pipeline, error) {
	o := b.object(follow(root), "pipeline", "id", "name", "description", "steps")
	o.text("description")
	p := &Pipeline{Dir: b.dir, Workspace: workspace, Detach: b.config.detach}
	p.ID, p.Name = o.identity("pipeline", "workspace")
	if p.Workspace == "" {
		p.Workspace = p.ID
	}
	var nodes []*entry
	for _, n := range o.list("steps") {
		nodes = append(nodes, b.step(n))
	}
	if n := o.get("steps"); n != nil && n.Kind == yaml.SequenceNode && len(nodes) == 0 {
		o.fail(n, "pipeline: there are no steps")
	}
	o.require("pipeline", "steps")
	if err := b.err(); err != nil {
		return nil, err
	}
	nodes = b.order(nodes)
	if err := b.err(); err != nil {
		return nil, err
	}
	b.skip(nodes)
	b.check(nodes)
	if err := b.err(); err != nil {
		return nil, err
	}
	for _, n := range nodes {
		p.Steps = append(p.Steps, n.Step)
	}
	return p, nil
}

// identity reads id and name, of which one can be made from the other.
func (o object) identity(what, kind string) (id, called string) {
	id, called = o.name("id", kind), o.text("name")
	if o.node.Kind != yaml.MappingNode || o.values["id"] != nil && id == "" || o.values["name"] != nil && called == "" {
		return id, called // said already
	}
	switch {
	case id == "" && called == "":
		o.fail(o.node, "%s: it has neither an id nor a name", what)
	case called == "":
		called = id
	case id == "":
		id = slug(called)
		if id == "" {
			o.fail(o.get("name"), "%s: cannot make an id of the name %q; give it an id", what, called)
		} else if err := name.Check(kind, id); err != nil {
			o.fail(o.get("name"), "%s: cannot make an id of the name: %v; give it an id", what, err)
		}
	}
	return id, called
}
