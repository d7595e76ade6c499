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

// form is the number of the canonical form. A new number makes every run new.
const form = 1

// always are the keys that the canonical form has had from the beginning, in its
// order. Keys that came later stand after them, sorted, and are left out where
// they are not used: so a new option leaves the fingerprints of all other steps
// as they were.
var always = []string{"image", "cmd", "env", "cwd", "user", "network", "output", "hostname", "readOnly", "inputs", "mounts", "caches"}

// later are the keys that came before keys were sorted, in the order in which
// they came.
var later = []string{"sources", "tmpfs", "secrets", "devices", "capAdd", "capDrop", "userns", "entrypoint", "setup"}

// Fingerprint is SHA-256, in hexadecimal, over the canonical form of everything
// that decides the step's output: [Pinned.Canonical]. Steps with the same
// fingerprint give the same output as far as the command itself is repeatable.
//
// A field's tag decides. `fingerprint:"KEY"` puts its canonical value under KEY;
// `fingerprint:"KEY,set"` sorts the list first, for an order that decides nothing.
// `fingerprint:"-"` leaves it out, and the tag "why" gives the reason.
func (p *Pinned) Fingerprint() string {
	sum := sha256.Sum256(p.Canonical())
	return hex.EncodeToString(sum[:])
}

// Canonical is the canonical form: one JSON object (RFC 8259) on one line, without
// blanks, the same bytes for the same ingredients.
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

// ingredient is a field that decides, and its canonical value.
type ingredient struct {
	key, label string
	value      any
	canonical  any
	json       []byte
	used       bool // the canonical value is not the zero one
}

// ingredients are the fields that decide, in the order of the canonical form.
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
		data, err := json.Marshal(in.canonical) // maps come out sorted
		if err != nil {
			panic(err) // only texts, numbers, lists and maps of them are in there
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

// content is a tree's digest and where the step sees it.
type content struct {
	Path   string `json:"path"`
	Digest string `json:"digest"`
	Copied bool   `json:"copied,omitempty"`
}

// prelude is what a setup decides by.
type prelude struct {
	Cmd     []string    `json:"cmd"`
	Network Network     `json:"network"`
	Caches  [][2]string `json:"caches"`
}

// canonical is what a field's value counts as: without names, in a fixed order
// where the order decides nothing, and nil for a list that is empty.
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
		// Names only: a digest of the value would let people guess at the value.
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

// list is nil for an empty list: one that was left out is the same.
func list(v []string) []string {
	if len(v) == 0 {
		return nil
	}
	return v
}

// secretName tells a secret that is also an environment variable from one that is not.
func secretName(s Secret) string {
	if s.Env {
		return "$" + s.Name
	}
	return s.Name
}

// places are the names and paths of caches, sorted by path.
func places(caches []Cache) [][2]string {
	var out [][2]string
	for _, c := range caches {
		out = append(out, [2]string{c.Name, c.Path})
	}
	slices.SortFunc(out, func(a, b [2]string) int { return strings.Compare(a[1], b[1]) })
	return out
}
