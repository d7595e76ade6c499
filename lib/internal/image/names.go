package image

import (
	"fmt"
	"slices"
	"strings"
)

// Names returns the names that an image may have in containerd: the reference as given, with
// the tag latest, with the host localhost, which podman and buildah give to what they build, and last
// in docker's full form, which is the one to pull. It refuses what
// cannot be a reference at a glance; whoever pulls parses the whole of it. The library that
// does so compiles its grammar when a program starts, which takes longer than all of a lookup.
func Names(ref string) ([]string, error) {
	const inside = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-+:/@[]"
	if ref == "" || ref[0] == '-' || strings.Trim(ref, inside) != "" {
		return nil, fmt.Errorf("invalid image reference %q: such as busybox, docker.io/library/busybox:1 or NAME@sha256:DIGEST", ref)
	}
	list := []string{ref}
	name, rest := split(ref)
	full := name + rest
	if rest == "" {
		list = append(list, ref+":latest")
		full = name + ":latest"
	} else if tag, digest, ok := strings.Cut(rest, "@"); ok && tag != "" {
		full = name + "@" + digest
	}
	host, _, _ := strings.Cut(ref, "/")
	if strings.HasPrefix(full, "docker.io/") && !strings.HasSuffix(host, "docker.io") && !strings.Contains(ref, "@") {
		list = append(list, "localhost/"+list[len(list)-1])
	}
	if !slices.Contains(list, full) {
		list = append(list, full)
	}
	return list, nil
}

// split returns the name of a reference in docker's full form, and its tag and digest as they
// stand: ":TAG", "@DIGEST", both or none.
func split(ref string) (name, rest string) {
	name = ref
	if i := strings.IndexByte(ref, '@'); i >= 0 {
		name, rest = ref[:i], ref[i:]
	}
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name, rest = name[:i], name[i:]+rest
	}
	// As docker has it, the first part is a host if it looks like one.
	host, path, ok := strings.Cut(name, "/")
	if !ok || host != "localhost" && !strings.ContainsAny(host, ".:") && strings.ToLower(host) == host {
		host, path = "docker.io", name
	}
	if host == "index.docker.io" {
		host = "docker.io"
	}
	if host == "docker.io" && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	return host + "/" + path, rest
}

// Pinned returns the reference of the image with a digest, in the repository that ref names.
func Pinned(ref, digest string) string {
	name, _ := split(ref)
	return name + "@" + digest
}
