package step

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// form is the version of the canonical form. A new version changes every fingerprint,
// so that no earlier run is found any more.
const form = 1

// always lists the keys of the first canonical form, in their order. They are always
// present. Keys that were added since come after them, and only if the step uses them:
// so a new option does not change the fingerprints of steps without it.
var always = []string{"image", "cmd", "env", "cwd", "user", "network", "output", "hostname", "readOnly", "inputs", "mounts", "caches"}

// later lists the first keys that were added, in the order in which they were added.
// All others come after these, sorted by name.
var later = []string{"sources", "tmpfs", "secrets", "devices", "capAdd", "capDrop", "userns", "entrypoint", "setup"}

// Fingerprint returns the SHA-256 sum, in hexadecimal, of [Pinned.Canonical]: of
// everything that decides the step's output. Steps with the same fingerprint have the
// same output if the command itself is deterministic.
//
// The tag of a field says how it enters. `fingerprint:"KEY"` puts its canonical value
// under KEY. `fingerprint:"KEY,set"` does the same for a list whose order does not
// matter, and sorts it. `fingerprint:"-"` leaves it out; the tag "why" gives the reason.
func (p *Pinned) Fingerprint() string {
	sum := sha256.Sum256(p.Canonical())
	return hex.EncodeToString(sum[:])
}

// Canonical returns the canonical form of the fields that decide the output: one JSON
// object (RFC 8259) on one line, without blanks. Equal values give equal bytes.
func (p *Pinned) Canonical() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"form":%d`, form)
	for _, in := range p.ingredients() {
		if in.used || slices.Contains(always, in.key) {
			fmt.Fprintf(&b, `,%q:%s`, in.key, in.json)
		}
	}
	b.WriteByte('}')
	return b.Bytes()
}

// ingredient is a field that is in the fingerprint, and its canonical value.
type ingredient struct {
	key, label string
	value      any
	canonical  any
	json       []byte
	used       bool // the canonical value is not zero
}

// ingredients returns the fields that are in the fingerprint, in canonical order.
func (p *Pinned) ingredients() []ingredient {
	var all []ingredient
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Pinned]()) {
		key, set, _ := strings.Cut(f.Tag.Get("fingerprint"), ",")
		if f.Anonymous || key == "-" {
			continue
		}
		in := ingredient{key: key, label: f.Tag.Get("label"), value: reflect.ValueOf(p).Elem().FieldByIndex(f.Index).Interface()}
		if in.label == "" {
			in.label = key
		}
		in.canonical = canonical(in.value, set == "set")
		data, err := json.Marshal(in.canonical) // sorts maps by key
		if err != nil {
			panic(err) // cannot happen: the values are strings, numbers, and lists and maps of them
		}
		in.json, in.used = data, !empty(in.canonical)
		all = append(all, in)
	}
	order := slices.Concat(always, later)
	slices.SortFunc(all, func(a, b ingredient) int {
		i, j := slices.Index(order, a.key), slices.Index(order, b.key)
		switch {
		case i >= 0 && j >= 0:
			return i - j
		case i < 0 && j < 0:
			return strings.Compare(a.key, b.key)
		}
		return j - i // the known one first
	})
	return all
}

func empty(v any) bool {
	value := reflect.ValueOf(v)
	switch value.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Slice, reflect.Map:
		return value.Len() == 0
	}
	return value.IsZero()
}

// content is the canonical form of a tree: its digest and its path in the container.
type content struct {
	Path   string `json:"path"`
	Digest string `json:"digest"`
	Copied bool   `json:"copied,omitempty"`
}

// prelude is the canonical form of a setup.
type prelude struct {
	Cmd     []string    `json:"cmd"`
	Network Network     `json:"network"`
	Caches  [][2]string `json:"caches"`
}

// canonical returns a field's value as the fingerprint sees it: without the names of
// steps and runs, sorted where the order does not matter, and nil for an empty list.
func canonical(value any, set bool) any {
	switch v := value.(type) {
	case []string:
		if set {
			v = slices.Sorted(slices.Values(v))
		}
		return list(v)
	case map[string]string:
		if len(v) == 0 {
			return map[string]string(nil)
		}
	case []PinnedInput:
		var out []content
		for _, in := range v {
			out = append(out, content{in.MountedAs, in.Digest, in.Copied})
		}
		return out
	case []PinnedMount:
		var out []content
		for _, m := range v {
			out = append(out, content{Path: m.ContainerPath, Digest: m.Digest})
		}
		slices.SortFunc(out, func(a, b content) int { return strings.Compare(a.Path, b.Path) })
		return out
	case []Cache:
		return places(v)
	case []PinnedTmpfs:
		var out []string
		for _, t := range v {
			out = append(out, t.Path)
		}
		slices.Sort(out)
		return out
	case []Secret:
		// Names only: from a digest of the value, a short secret could be guessed.
		var out []string
		for _, s := range v {
			out = append(out, secretName(s))
		}
		slices.Sort(out)
		return out
	case *IDMap:
		return v != nil
	case *PinnedSetup:
		if v == nil {
			return nil
		}
		return &prelude{v.Cmd, v.Network, places(v.CacheMounts)}
	}
	return value
}

// list returns nil for an empty list: giving none and giving an empty one are the same.
func list(v []string) []string {
	if len(v) == 0 {
		return nil
	}
	return v
}

// secretName returns the canonical name of a secret: $NAME if it is also an
// environment variable, else NAME.
func secretName(s Secret) string {
	if s.Env {
		return "$" + s.Name
	}
	return s.Name
}

// places returns the names and paths of caches, sorted by path.
func places(caches []Cache) [][2]string {
	var out [][2]string
	for _, c := range caches {
		out = append(out, [2]string{c.Name, c.Path})
	}
	slices.SortFunc(out, func(a, b [2]string) int { return strings.Compare(a[1], b[1]) })
	return out
}
