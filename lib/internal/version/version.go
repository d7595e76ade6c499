// Package version says which build of pipex a program is, from what the Go tool
// puts into it (runtime/debug.BuildInfo): nothing is set by hand.
package version

import (
	"runtime/debug"
	"strings"
	"sync"
)

// client is the module of containerd's client.
const client = "github.com/containerd/containerd"

// String is the version as records and labels have it: the tag, or a pseudo-version
// of the commit; 0.0.0-devel if the program was built outside of a repository.
var String = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "0.0.0-devel"
	}
	return strings.TrimPrefix(info.Main.Version, "v")
})

// Long is the version, the commit, Go and, in a program that talks to containerd, the
// version of its client, for people.
func Long() string {
	parts := []string{String()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				parts = append(parts, "commit "+s.Value)
			}
		}
		parts = append(parts, info.GoVersion)
		for _, m := range info.Deps {
			if m.Path == client {
				parts = append(parts, "containerd client "+strings.TrimPrefix(m.Version, "v"))
			}
		}
	}
	return strings.Join(parts, ", ")
}
