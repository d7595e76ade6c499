package crate

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"

	"pipex/lib/provenance"
	"pipex/lib/step"
	"pipex/lib/workspace"
)

// entity is a node of the JSON-LD graph.
type entity map[string]any

func ref(id string) entity { return entity{"@id": id} }

func refs(ids []string) []entity {
	list := make([]entity, 0, len(ids))
	for _, id := range ids {
		list = append(list, ref(id))
	}
	return list
}

// graph is the description of a crate.
type graph struct {
	o        Options
	nodes    []*provenance.Node
	inside   map[string]*provenance.Node // by run id
	entities []entity
	known    map[string]bool // ids of entities
	parts    []string        // of the root
	mentions []string
}

func newGraph(nodes []*provenance.Node, o Options) *graph {
	c := &graph{o: o, nodes: nodes, inside: map[string]*provenance.Node{}, known: map[string]bool{}}
	for _, n := range nodes {
		c.inside[n.ID] = n
	}
	return c
}

// add adds an entity, unless one with its id is there.
func (c *graph) add(e entity) {
	if id := e["@id"].(string); !c.known[id] {
		c.known[id] = true
		c.entities = append(c.entities, e)
	}
}

// The profiles that a crate follows, and their names.
const (
	profiles   = "https://w3id.org/ro/wfrun/"
	schemaOrg  = "http://schema.org/"
	terms      = "https://w3id.org/ro/terms/workflow-run"
	workflowRO = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
)

// document returns the whole file.
func (c *graph) document() entity {
	about := []string{"https://w3id.org/ro/crate/1.1"}
	follows := []entity{profile(profiles+"process/0.5", "Process Run Crate", "0.5")}
	if c.o.Workflow {
		about = append(about, workflowRO)
		follows = append(follows, profile(profiles+"workflow/0.5", "Workflow Run Crate", "0.5"),
			profile(profiles+"provenance/0.5", "Provenance Run Crate", "0.5"), profile(workflowRO, "Workflow RO-Crate", "1.0"))
	}
	var conforms []string
	for _, p := range follows {
		conforms = append(conforms, p["@id"].(string))
	}
	root := entity{
		"@id": "./", "@type": "Dataset", "name": c.o.Name,
		"description":   "What containerized steps have written, and what it was made from. The steps were run by pipex.",
		"license":       "No licence is stated.",
		"datePublished": stamp(c.last()), "conformsTo": refs(conforms), "hasPart": refs(c.parts), "mentions": refs(c.mentions),
	}
	head := []entity{{"@id": MetadataFile, "@type": "CreativeWork", "about": ref("./"), "conformsTo": refs(about)}, root}
	if c.o.Workflow {
		root["mainEntity"] = ref(workflowFile)
	}
	if c.o.License != "" {
		root["license"] = ref(c.o.License)
		head = append(head, entity{"@id": c.o.License, "@type": "CreativeWork", "name": c.o.License, "description": "The licence of what is in the crate."})
	}
	return entity{
		"@context": []any{"https://w3id.org/ro/crate/1.1/context", terms + "/context", basic},
		"@graph":   slices.Concat(head, follows, c.entities),
	}
}

// basic repeats the terms of the first context by which npm's ro-crate recognizes a crate, since it
// knows that context only from the network, and otherwise takes the crate for none.
var basic = entity{
	"Dataset": schemaOrg + "Dataset", "name": schemaOrg + "name", "description": schemaOrg + "description",
	"datePublished": schemaOrg + "datePublished", "license": schemaOrg + "license",
}

func profile(id, name, version string) entity {
	return entity{"@id": id, "@type": "CreativeWork", "name": name, "version": version}
}

// last returns when the last run ended.
func (c *graph) last() (last time.Time) {
	for _, n := range c.nodes {
		if end := n.Meta.FinishedAt.Time; end.After(last) {
			last = end
		}
	}
	return last
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000+00:00") }

// title is what people call a run.
func title(n *provenance.Node) string {
	if n.Step == "" {
		return "run " + n.ID
	}
	return "step " + n.Step
}

func actionID(n *provenance.Node) string { return "#run-" + n.ID }
func toolID(n *provenance.Node) string   { return "#command-" + n.ID }

// command is the whole command that decided the result, or "" if there was none.
func command(m *workspace.Meta) string {
	for _, e := range slices.Backward(m.Execs) {
		if !e.Override && !e.Setup {
			return step.Quote(e.Cmd)
		}
	}
	return step.Quote(m.Cmd)
}

// run describes a run: an action, its instrument, its inputs and results.
func (c *graph) run(n *provenance.Node) {
	m := n.Meta
	action := entity{
		"@id": actionID(n), "@type": "CreateAction", "name": "Run of " + title(n), "identifier": n.ID,
		"endTime": stamp(m.FinishedAt.Time), "actionStatus": schemaOrg + "CompletedActionStatus",
		"instrument": ref(c.tool(n)), "object": refs(c.inputs(n)), "result": ref(artifactsID(n)),
	}
	if m.StartedAt != nil {
		action["startTime"] = stamp(m.StartedAt.Time)
	}
	if text := command(m); text != "" {
		action["description"] = text
	}
	if m.Status == workspace.Failure {
		action["actionStatus"] = schemaOrg + "FailedActionStatus"
		action["error"] = failure(m)
	}
	if m.Image != "" {
		action["containerImage"] = ref(c.image(m))
	}
	var variables []string
	for _, name := range sortedKeys(m.Env) {
		variable := fmt.Sprintf("#env-%s-%s", n.ID, url.PathEscape(name))
		c.add(entity{"@id": variable, "@type": "PropertyValue", "name": name, "value": m.Env[name]})
		variables = append(variables, variable)
	}
	if len(variables) > 0 {
		action["environment"] = refs(variables)
	}
	c.add(action)
	c.parts = append(c.parts, runDir(n))
	c.mentions = append(c.mentions, actionID(n))
}

// failure says why a run failed.
func failure(m *workspace.Meta) string {
	text := m.Reason
	if m.ExitCode != nil {
		text = strings.TrimPrefix(fmt.Sprintf("%s; exit status %d", text, *m.ExitCode), "; ")
	}
	return cmp.Or(text, "unknown")
}

// tool returns what ran: the step's command. Who wrote the artifacts of a run without a container
// is not known; pipex has published them.
func (c *graph) tool(n *provenance.Node) string {
	if n.Meta.Image == "" {
		pipex := "#pipex-" + url.PathEscape(n.Meta.Version)
		e := entity{"@id": pipex, "@type": "SoftwareApplication", "name": "pipex"}
		if n.Meta.Version != "" {
			e["softwareVersion"] = n.Meta.Version
		}
		c.add(e)
		return pipex
	}
	e := entity{"@id": toolID(n), "@type": "SoftwareApplication", "name": cmp.Or(n.Meta.StepName, n.Step, "run "+n.ID)}
	if text := command(n.Meta); text != "" {
		e["description"] = text
	}
	if s := n.Meta.Setup; s != nil {
		e["softwareRequirements"] = "setup: " + step.Quote(s.Cmd)
	}
	c.add(e)
	return toolID(n)
}

// image describes the image that a run's container was made of.
func (c *graph) image(m *workspace.Meta) string {
	digest := strings.TrimPrefix(cmp.Or(m.ImageDigest, m.ImageID), "sha256:")
	e := entity{"@id": "#image-" + url.PathEscape(cmp.Or(digest, m.Image)), "@type": "ContainerImage", "name": m.Image, "additionalType": ref(terms + "#DockerImage")}
	if digest != "" {
		e["sha256"] = digest
	}
	if named, err := reference.ParseNormalizedNamed(m.Image); err == nil {
		e["registry"], e["name"] = reference.Domain(named), reference.Path(named)
		if tagged, ok := reference.TagNameOnly(named).(reference.Tagged); ok {
			e["tag"] = tagged.Tag()
		}
	}
	c.add(e)
	return e["@id"].(string)
}

// inputs returns what a run has read: artifacts in the crate, and digests of what is not in it.
func (c *graph) inputs(n *provenance.Node) (ids []string) {
	use := func(id string) {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for _, in := range n.Meta.Inputs {
		if from := c.inside[in.RunID]; from != nil {
			use(artifactsID(from))
			continue
		}
		outside := "#artifacts-" + url.PathEscape(in.RunID)
		e := entity{"@id": outside, "@type": "CreativeWork", "name": fmt.Sprintf("What run %s of step %s has written", in.RunID, in.Step)}
		if in.Digest != "" {
			e["identifier"] = in.Digest
		}
		c.add(e)
		use(outside)
	}
	for _, host := range slices.Concat(n.Meta.Mounts, n.Meta.Sources) {
		outside := "#host-" + url.PathEscape(strings.TrimPrefix(host.Digest, "sha256:")+host.HostPath)
		e := entity{"@id": outside, "@type": "CreativeWork", "name": host.HostPath}
		if host.Digest != "" {
			e["identifier"] = host.Digest
		}
		for _, changed := range n.Meta.ChangedInputs {
			if changed.ContainerPath == host.ContainerPath || strings.HasPrefix(changed.ContainerPath, host.ContainerPath+"/") {
				outside = fmt.Sprintf("#host-%s-%s", n.ID, url.PathEscape(host.ContainerPath))
				e["@id"] = outside
				e["description"] = "Something in it changed after this digest was computed, so the step may have read something else."
			}
		}
		c.add(e)
		use(outside)
	}
	return ids
}
