// Package version returns the version of a program: what the Makefile has the linker put into it,
// else the build information of the Go tool (runtime/debug.BuildInfo).
package version

import (
	"runtime/debug"
	"strings"
	"sync"
)

// client is the module of containerd's client.
const client = "github.com/containerd/containerd"

// Set by the linker, by -X. The Go tool knows no commit of a source archive, and would have the
// same program be other bytes there than in a clone.
var version, commit string

// String returns the version for records and labels: the tag, or a pseudo-version of the
// commit, or 0.0.0-devel if neither the Makefile nor the Go tool knew one.
var String = sync.OnceValue(func() string {
	if version != "" {
		return version
	}
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
		commit := commit
		for _, s := range info.Settings {
			if commit == "" && s.Key == "vcs.revision" {
				commit = s.Value
			}
		}
		if commit != "" {
			parts = append(parts, "commit "+commit)
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
