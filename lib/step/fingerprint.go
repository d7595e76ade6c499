package step

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"sort"
)

// Ingredients are everything that decides a step's output, each pinned to
// content: what a name or a path stood for when the step was prepared.
//
// Names (the step's, a run's) and what only bounds a run (the timeout, limits) are
// none.
type Ingredients struct {
	Form int `json:"form"` // filled in by Fingerprint
	// Image is the digest of the image's configuration, which names its layers.
	Image    string            `json:"image"`
	Cmd      []string          `json:"cmd"`
	Env      map[string]string `json:"env"`
	Cwd      string            `json:"cwd"`
	User     string            `json:"user"`
	Network  Network           `json:"network"`
	Output   string            `json:"output"`
	Hostname string            `json:"hostname"`
	ReadOnly bool              `json:"readOnly"`
	// Inputs keep their order: a later copy wins over an earlier one.
	Inputs []Content   `json:"inputs"`
	Mounts []Content   `json:"mounts"`
	Caches [][2]string `json:"caches"`
	// What came later is left out where it is not used, so that what was known
	// before stays known.
	Sources []Content `json:"sources,omitempty"`
	Tmpfs   []string  `json:"tmpfs,omitempty"`
	// Secrets are names only: who has the value's digest can guess at the value.
	Secrets    []string  `json:"secrets,omitempty"`
	Devices    []string  `json:"devices,omitempty"`
	CapAdd     []string  `json:"capAdd,omitempty"`
	CapDrop    []string  `json:"capDrop,omitempty"`
	Userns     bool      `json:"userns,omitempty"`
	Entrypoint *[]string `json:"entrypoint,omitempty"`
	Setup      *Prelude  `json:"setup,omitempty"`
}

// Prelude is what a setup decides by.
type Prelude struct {
	Cmd     []string    `json:"cmd"`
	Network Network     `json:"network"`
	Caches  [][2]string `json:"caches"`
}

// Content is a tree's digest and where the step sees it.
type Content struct {
	Path   string `json:"path"`
	Digest string `json:"digest"`
	Copied bool   `json:"copied,omitempty"`
}

// form is the number of the canonical form; a new one makes every run new.
const form = 1

// byPath is list in order of the paths.
func byPath(list []Content) []Content {
	list = append([]Content(nil), list...)
	sort.Slice(list, func(i, j int) bool { return list[i].Path < list[j].Path })
	return list
}

// byPlace is a list of caches in order of their paths.
func byPlace(list [][2]string) [][2]string {
	list = append([][2]string(nil), list...)
	sort.Slice(list, func(i, j int) bool { return list[i][1] < list[j][1] })
	return list
}

func sorted(list []string) []string {
	list = append([]string(nil), list...)
	sort.Strings(list)
	return list
}

// Fingerprint is SHA-256, in hexadecimal, over the canonical form: the JSON of
// the ingredients, of which those whose order decides nothing are in order. Steps
// with the same fingerprint give the same output as far as the step itself is
// repeatable.
func (in Ingredients) Fingerprint() string {
	in.Form = form
	in.Mounts, in.Sources, in.Caches = byPath(in.Mounts), byPath(in.Sources), byPlace(in.Caches)
	for _, list := range []*[]string{&in.Tmpfs, &in.Secrets, &in.Devices, &in.CapAdd, &in.CapDrop} {
		*list = sorted(*list)
	}
	if in.Setup != nil {
		in.Setup = &Prelude{in.Setup.Cmd, in.Setup.Network, byPlace(in.Setup.Caches)}
	}
	if len(in.Cmd) == 0 {
		in.Cmd = nil // whether it was left out or said to be empty
	}
	if len(in.Env) == 0 {
		in.Env = nil
	}
	data, err := json.Marshal(in) // maps come out sorted; this cannot fail
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
