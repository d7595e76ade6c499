package attest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"pipex/lib/provenance"
	"pipex/lib/step"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

const (
	statementType = "https://in-toto.io/Statement/v1"
	predicateType = "https://slsa.dev/provenance/v1"
	// buildType names the meaning of the parameters: that of pipex-export(1).
	buildType = "urn:pipex:run:v1"
	// builderPrefix stands before the name of a machine.
	builderPrefix = "urn:pipex:host:"
	// treeDigest is the algorithm of [tree.Tree.Digest] in a set of digests.
	treeDigest = "pipexTree"
)

type statement struct {
	Type          string       `json:"_type"`
	Subject       []descriptor `json:"subject"`
	PredicateType string       `json:"predicateType"`
	Predicate     predicate    `json:"predicate"`
}

// descriptor is a ResourceDescriptor.
type descriptor struct {
	Name        string            `json:"name,omitempty"`
	Digest      map[string]string `json:"digest,omitempty"`
	Annotations map[string]any    `json:"annotations,omitempty"`
}

type predicate struct {
	BuildDefinition struct {
		BuildType            string       `json:"buildType"`
		ExternalParameters   parameters   `json:"externalParameters"`
		InternalParameters   internal     `json:"internalParameters"`
		ResolvedDependencies []descriptor `json:"resolvedDependencies,omitempty"`
	} `json:"buildDefinition"`
	RunDetails struct {
		Builder struct {
			ID      string            `json:"id"`
			Version map[string]string `json:"version,omitempty"`
		} `json:"builder"`
		Metadata struct {
			InvocationID string          `json:"invocationId"`
			StartedOn    *workspace.Time `json:"startedOn,omitempty"`
			FinishedOn   *workspace.Time `json:"finishedOn,omitempty"`
		} `json:"metadata"`
		Byproducts []descriptor `json:"byproducts,omitempty"`
	} `json:"runDetails"`
}

// parameters are what the caller has asked for, under the names that a record gives it.
type parameters struct {
	StepID string `json:"stepId,omitempty"`
	Image  string `json:"image,omitempty"`
	step.Options
	Inputs      []input            `json:"inputs,omitempty"`
	Mounts      []mount            `json:"mounts,omitempty"`
	Sources     []mount            `json:"sources,omitempty"`
	CacheMounts []step.Cache       `json:"cacheMounts,omitempty"`
	Tmpfs       []step.PinnedTmpfs `json:"tmpfs,omitempty"`
	Setup       *step.PinnedSetup  `json:"setup,omitempty"`
	// AllowNetwork is always there, so that parameters are never empty.
	AllowNetwork bool               `json:"allowNetwork"`
	TimeoutMs    int64              `json:"timeoutMs,omitempty"`
	Limits       *step.PinnedLimits `json:"limits,omitempty"`
}

type input struct {
	Step      string `json:"step"`
	MountedAs string `json:"mountedAs,omitempty"`
	Copied    bool   `json:"copied,omitempty"`
}

type mount struct {
	HostPath      string `json:"hostPath"`
	ContainerPath string `json:"containerPath"`
}

// internal are what pipex has made of that.
type internal struct {
	Fingerprint string       `json:"fingerprint,omitempty"`
	Userns      *step.IDMap  `json:"userns,omitempty"`
	Exec        []string     `json:"exec,omitempty"`
	Changed     []changeText `json:"changedInputs,omitempty"`
	ChangedMore int          `json:"changedInputsMore,omitempty"`
}

type changeText struct {
	ContainerPath string `json:"containerPath"`
	Path          string `json:"path"`
	Change        string `json:"change"`
}

func newStatement(ctx context.Context, ws *workspace.Workspace, n *provenance.Node, builder string) (*statement, error) {
	m := n.Meta
	s := &statement{Type: statementType, PredicateType: predicateType}
	var err error
	if s.Subject, err = subjects(ctx, n); err != nil {
		return nil, err
	}
	d := &s.Predicate.BuildDefinition
	d.BuildType = buildType
	d.ExternalParameters = asked(m)
	d.InternalParameters = internal{Fingerprint: m.Fingerprint, Userns: m.Userns, Exec: executed(m), ChangedMore: m.ChangedInputsMore}
	for _, c := range m.ChangedInputs {
		d.InternalParameters.Changed = append(d.InternalParameters.Changed, changeText{c.ContainerPath, c.Path, c.Change})
	}
	if d.ResolvedDependencies, err = dependencies(ws, n); err != nil {
		return nil, err
	}

	r := &s.Predicate.RunDetails
	if r.Builder.ID = builder; builder == "" {
		r.Builder.ID = builderPrefix + url.PathEscape(m.Host)
	}
	if m.Version != "" {
		r.Builder.Version = map[string]string{"pipex": m.Version}
	}
	r.Metadata.InvocationID, r.Metadata.StartedOn, r.Metadata.FinishedOn = n.ID, m.StartedAt, m.FinishedAt
	for _, name := range []string{"meta.json", "stdout.log", "stderr.log"} {
		sum, err := digestFile(filepath.Join(n.Run.Dir, name))
		if errors.Is(err, fs.ErrNotExist) { // of another tool
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("run %q: %w", n.ID, err)
		}
		r.Byproducts = append(r.Byproducts, descriptor{Name: name, Digest: sum})
	}
	return s, nil
}

// subjects are the files of a run, by their paths in its directory, and the list of them.
func subjects(ctx context.Context, n *provenance.Node) (list []descriptor, err error) {
	content, err := tree.Scan(ctx, n.Run.Artifacts(), tree.RecordSpecial())
	if err != nil {
		return nil, fmt.Errorf("run %q: %w", n.ID, err)
	}
	if err := n.Run.Compare(n.Meta, content); err != nil {
		return nil, err
	}
	for _, e := range content.Entries {
		if e.Mode.IsRegular() {
			list = append(list, descriptor{Name: "artifacts/" + escape(e.Path), Digest: map[string]string{"sha256": hex.EncodeToString(e.Sum[:])}})
		}
	}
	switch sum, err := digestFile(n.Run.Manifest()); {
	case err == nil:
		list = append(list, descriptor{Name: filepath.Base(n.Run.Manifest()), Digest: sum})
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("run %q: %w", n.ID, err)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("run %q has no files that a statement could be about", n.ID)
	}
	return list, nil
}

// escape returns a path as text that says which bytes it has: those that are not UTF-8, and %,
// are written as % and two hexadecimal digits.
func escape(path string) string {
	if utf8.ValidString(path) && !strings.Contains(path, "%") {
		return path
	}
	var b strings.Builder
	for i, r := range path {
		_, size := utf8.DecodeRuneInString(path[i:])
		if r == '%' || r == utf8.RuneError && size == 1 {
			fmt.Fprintf(&b, "%%%02X", path[i])
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func asked(m *workspace.Meta) parameters {
	p := parameters{
		StepID: m.StepID, Image: m.Image, Options: m.Options, CacheMounts: m.CacheMounts, Tmpfs: m.Tmpfs,
		Setup: m.Setup, AllowNetwork: m.AllowNetwork, TimeoutMs: m.TimeoutMs, Limits: m.Limits,
	}
	for _, in := range m.Inputs {
		p.Inputs = append(p.Inputs, input{in.Step, in.MountedAs, in.Copied})
	}
	p.Mounts, p.Sources = mounts(m.Mounts), mounts(m.Sources)
	return p
}

func mounts(pinned []step.PinnedMount) (list []mount) {
	for _, p := range pinned {
		list = append(list, mount{p.HostPath, p.ContainerPath})
	}
	return list
}

// executed is the whole command that decided the result, entrypoint included.
func executed(m *workspace.Meta) (cmd []string) {
	for _, e := range m.Execs {
		if !e.Override && !e.Setup {
			cmd = e.Cmd
		}
	}
	return cmd
}

// dependencies are what the run was made from, as far as there are digests: the image, the
// artifacts of other runs, and the files of the host. A tree has a digest of its own kind; where
// its list is there, that has an ordinary one, which is also a subject of the other run's statement.
func dependencies(ws *workspace.Workspace, n *provenance.Node) (list []descriptor, err error) {
	m := n.Meta
	if m.ImageDigest != "" {
		image := descriptor{Name: m.Image, Digest: digest("sha256", m.ImageDigest)}
		if m.ImageID != "" {
			image.Annotations = map[string]any{"imageId": m.ImageID}
		}
		list = append(list, image)
	} else if m.ImageID != "" {
		list = append(list, descriptor{Name: m.Image, Digest: digest("sha256", m.ImageID)})
	}
	for _, in := range m.Inputs {
		if in.Digest == "" {
			continue
		}
		about := map[string]any{"runId": in.RunID}
		list = append(list, descriptor{Name: "step " + in.Step, Digest: digest(treeDigest, in.Digest), Annotations: about})
		from, err := ws.Run(in.RunID)
		if err != nil || from.Tree(in.Digest) == nil {
			continue // removed since
		}
		if sum, err := digestFile(from.Manifest()); err == nil {
			list = append(list, descriptor{Name: filepath.Base(from.Manifest()), Digest: sum, Annotations: about})
		}
	}
	for _, host := range append(m.Mounts[:len(m.Mounts):len(m.Mounts)], m.Sources...) {
		if host.Digest == "" {
			continue
		}
		d := descriptor{Name: host.HostPath, Digest: digest(treeDigest, host.Digest), Annotations: map[string]any{"containerPath": host.ContainerPath}}
		if t := n.Run.Tree(host.Digest); t != nil && len(t.Entries) == 1 && t.Entries[0].Mode.IsRegular() {
			d.Digest["sha256"] = hex.EncodeToString(t.Entries[0].Sum[:])
		}
		list = append(list, d)
	}
	return list, nil
}

func digest(algorithm, value string) map[string]string {
	return map[string]string{algorithm: strings.TrimPrefix(value, "sha256:")}
}

// digestFile reads a file of pipex's own, which a step cannot write to.
func digestFile(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, err
	}
	return map[string]string{"sha256": hex.EncodeToString(h.Sum(nil))}, nil
}
