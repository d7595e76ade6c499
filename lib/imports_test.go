package pipex_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// layers are the packages of lib from the bottom to the top. A package imports packages
// of lower layers only, of its own none. internal/ is for lib alone (the compiler sees
// to that); what each of it may import stands beside it.
var layers = [][]string{
	{"internal/cores", "internal/lazy", "progress"},
	{"name", "internal/trace"},
	{"tree"},
	{"step"},
	{"workspace"},
	{"internal/cgroup", "internal/endpoint", "internal/follow", "internal/secret", "internal/userns", "internal/version"},
	{"internal/containerd", "internal/network"},
	{"internal/image", "internal/oci"},
	{"run", "status"},
	{"run/reap", "prepare", "exec", "pull", "images", "provenance"},
	{"shell", "doctor", "timeline", "crate", "attest", "registry"},
	{"pipeline/jexl", "pipeline/kits", "draw"},
	{"pipeline"},
	{"cli/traced"},
	{"cli"},
	{"."},
}

// narrow says of packages below which others they may import, where that is less than
// the layers allow: what is light stays light, and what is pure stays pure.
var narrow = map[string][]string{
	"workspace":     {"name", "progress", "tree", "step", "internal/cores", "internal/trace"},
	"run":           {"name", "progress", "tree", "step", "workspace", "internal/endpoint", "internal/trace"},
	"run/reap":      {"run", "workspace", "internal/cgroup", "internal/containerd", "internal/endpoint", "internal/network", "internal/trace"},
	"images":        {"run", "workspace", "internal/containerd", "internal/endpoint", "internal/image"},
	"provenance":    {"name", "status", "workspace"},
	"timeline":      {"provenance", "workspace"},
	"draw":          {"provenance", "status", "timeline", "workspace"},
	"crate":         {"provenance", "step", "tree", "workspace"},
	"attest":        {"provenance", "step", "tree", "workspace"},
	"registry":      {"name", "progress", "tree", "workspace"},
	"pipeline":      {"internal/lazy", "name", "step", "pipeline/jexl", "pipeline/kits"},
	"pipeline/jexl": {"internal/lazy"},
	"pipeline/kits": {},
	"cli":           {"name", "progress", "step", "workspace", "run", "cli/traced", "internal/cores", "internal/endpoint", "internal/userns", "internal/version"},
	"cli/traced":    {"internal/trace", "internal/version"},
}

// unlinked says which packages a program must not link, by parts of their paths.
var unlinked = map[string][]string{
	"pipex/cmd/pipex-link":     {"google.golang.org/grpc", "github.com/containerd/", "container-device-interface", "containernetworking"},
	"pipex/cmd/pipex-commit":   {"google.golang.org/grpc", "github.com/containerd/", "container-device-interface", "containernetworking"},
	"pipex/cmd/pipex-discard":  {"google.golang.org/grpc", "github.com/containerd/", "container-device-interface", "containernetworking"},
	"pipex/cmd/pipex-prune":    {"container-device-interface", "pipex/lib/internal/oci", "pipex/lib/internal/image"},
	"pipex/scripts/pipex-step": {"google.golang.org/grpc", "github.com/containerd/", "github.com/urfave/", "container-device-interface", "containernetworking"},
	"pipex/cmd/pipex-exec":     {"pipex/lib/internal/image", "oras.land", "go.yaml.in"},
}

// needless are packages that others would bring along, and that cost a start more than they
// are worth: what compiles regular expressions, reserves tables or registers types for nothing.
var needless = []string{"golang.org/x/net/trace", "html/template", "expvar", "google/go-cmp", "github.com/golang/protobuf", "go.opentelemetry.io", "oras.land", "distribution/reference", "containerd/remotes", "pipex/lib/pull"}

// slow are the programs that may link some of them: those that are started for images
// only, or measure them, one that makes a page, and one that copies artifacts.
var slow = []string{"pipex/scripts/pipex-export", "pipex/scripts/pipex-pull", "pipex/scripts/pipex-image", "pipex/scripts/pipex-du", "pipex/scripts/pipex-report", "pipex/scripts/pipex-push", "pipex/scripts/pipex-fetch"}

type goPackage struct {
	ImportPath    string
	Imports, Deps []string
}

func list(t *testing.T, patterns ...string) []goPackage {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-tags=urfave_cli_no_docs,grpcnotrace", "-json=ImportPath,Imports,Deps"}, patterns...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p goPackage
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func below(importPath string) (string, bool) {
	if importPath == "pipex/lib" {
		return ".", true
	}
	return strings.CutPrefix(importPath, "pipex/lib/")
}

func layer(name string) int {
	return slices.IndexFunc(layers, func(l []string) bool { return slices.Contains(l, name) })
}

func TestImportsRunDownwards(t *testing.T) {
	for _, p := range list(t, "pipex/lib/...") {
		name, _ := below(p.ImportPath)
		own := layer(name)
		if own < 0 {
			t.Errorf("%s has no layer", path.Join("lib", name))
			continue
		}
		for _, i := range p.Imports {
			imported, ours := below(i)
			if !ours {
				continue
			}
			if allowed, isNarrow := narrow[name]; layer(imported) >= own || isNarrow && !slices.Contains(allowed, imported) {
				t.Errorf("lib/%s may not import lib/%s", name, imported)
			}
		}
	}
}

func TestProgramsLinkNoMoreThanTheyUse(t *testing.T) {
	for _, p := range list(t, "pipex/cmd/...", "pipex/scripts/...") {
		parts := unlinked[p.ImportPath]
		if !slices.Contains(slow, p.ImportPath) {
			parts = slices.Concat(parts, needless)
		}
		for _, part := range parts {
			for _, dep := range p.Deps {
				if strings.Contains(dep, part) {
					t.Errorf("%s links %s", p.ImportPath, dep)
				}
			}
		}
	}
}
