// Package version returns the version of a program from the build information that the Go tool
// puts into it (runtime/debug.BuildInfo).
package version

import (
	"runtime/debug"
	"strings"
	"sync"
)

// client is the module of containerd's client.
const client = "github.com/containerd/containerd"

// String returns the version for records and labels: the tag, or a pseudo-version of the
// commit, or 0.0.0-devel if the program was built outside a repository.
var String = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "0.0.0-devel"
	}
	return strings.TrimPrefix(info.Main.Version, "v")
})

// Long returns, for people, the version, the commit, the version of Go and, in a program that
// links containerd's client, the version of that.
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
