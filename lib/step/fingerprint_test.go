package step

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func pinned() *Pinned {
	return &Pinned{
		ImageID: "sha256:1",
		Options: Options{
			Cmd: []string{"sh", "-c", "true"}, Env: map[string]string{"B": "2", "A": "1"}, Cwd: "/w", User: "1",
			Network: NetworkNone, Output: "/output", Hostname: "pipex",
		},
		CacheMounts: []Cache{{Name: "c", Path: "/c"}, {Name: "b", Path: "/b"}},
		Inputs:      []PinnedInput{{MountedAs: "/input/a", Digest: "x"}, {MountedAs: "/input/b", Digest: "y", Copied: true}},
		Mounts:      []PinnedMount{{ContainerPath: "/m", Digest: "z"}, {ContainerPath: "/l", Digest: "w"}},
	}
}

// full has each field of the canonical form.
func full() *Pinned {
	p := pinned()
	p.ReadOnly = true
	p.Sources = []PinnedMount{{ContainerPath: "/s", Digest: "v"}}
	p.Tmpfs = []PinnedTmpfs{{Path: "/t", Bytes: 1}, {Path: "/r"}}
	p.Secrets = []Secret{{Name: "T", Env: true}, {Name: "S", File: "/f"}}
	p.Devices = []string{"v/c=2", "v/c=1"}
	p.CapAdd, p.CapDrop = []string{"CAP_NET_RAW"}, []string{"ALL"}
	p.Userns = &IDMap{UID: 1}
	p.Entrypoint = &[]string{}
	p.Setup = &PinnedSetup{Cmd: []string{"sh", "-c", "a<b"}, Network: NetworkHost, CacheMounts: []Cache{{Name: "d", Path: "/d"}}}
	return p
}

// The canonical form is on disk wherever pipex has run: another value makes every
// committed run new, and wants a new form number. These were computed by the first
// release of form 1.
func TestFingerprintIsStable(t *testing.T) {
	for want, p := range map[string]*Pinned{
		"2c3492a0a5a15f433237ff8e2b358c382e1518cdfb168d5b4a6fdcc2a579d64d": pinned(),
		"c4f3f7b24f79d10e2cb44e43178527902a61796b080705cb27bb11e56523f50e": full(),
	} {
		if got := p.Fingerprint(); got != want {
			t.Errorf("got %s, want %s: %s", got, want, p.Canonical())
		}
	}
}

// Every field decides the fingerprint, or is left out of it for a reason.
func TestEveryFieldDecidesOrSaysWhyNot(t *testing.T) {
	keys := map[string]string{}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Pinned]()) {
		if f.Anonymous {
			continue
		}
		tag, ok := f.Tag.Lookup("fingerprint")
		key, _, _ := strings.Cut(tag, ",")
		if !ok || key == "" || key == "-" && f.Tag.Get("why") == "" {
			t.Errorf("%s: no tag says what it is in the fingerprint, or why it is not in it", f.Name)
			continue
		}
		for _, base := range []*Pinned{{}, full()} {
			before := base.Fingerprint()
			field := reflect.ValueOf(base).Elem().FieldByIndex(f.Index)
			change(t, field)
			if decides := base.Fingerprint() != before; decides != (key != "-") {
				t.Errorf("%s, of key %q: the fingerprint changes with it: %t", f.Name, key, decides)
			}
		}
		if other := keys[key]; key != "-" && other != "" {
			t.Errorf("%s and %s have one key, %q", f.Name, other, key)
		}
		keys[key] = f.Name
	}
	for _, key := range slices.Concat(always, later) {
		if keys[key] == "" {
			t.Errorf("no field has the key %q, which is in the canonical form", key)
		}
	}
}

// change gives a value another one.
func change(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		} else {
			v.SetZero()
		}
	case reflect.Map:
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
		v.SetMapIndex(reflect.ValueOf("NEW"), reflect.ValueOf("x"))
	case reflect.Slice:
		element := reflect.New(v.Type().Elem()).Elem()
		if element.Kind() == reflect.String {
			element.SetString("x")
		}
		v.Set(reflect.Append(v, element))
	default:
		t.Fatalf("no other value of kind %s is known", v.Kind())
	}
}

func TestFingerprintChangesWithWhatDecides(t *testing.T) {
	seen := map[string]string{pinned().Fingerprint(): "nothing"}
	for what, change := range map[string]func(*Pinned){
		"command, longer": func(p *Pinned) { p.Cmd = []string{"sh", "-c", "true", ""} },
		"command, split":  func(p *Pinned) { p.Cmd = []string{"sh", "-c true"} },
		"env value":       func(p *Pinned) { p.Env = map[string]string{"A": "1", "B": "3"} },
		"env name":        func(p *Pinned) { p.Env = map[string]string{"A": "1", "C": "2"} },
		"input content":   func(p *Pinned) { p.Inputs[0].Digest = "q" },
		"input path":      func(p *Pinned) { p.Inputs[0].MountedAs = "/input/c" },
		"input order":     func(p *Pinned) { p.Inputs[0], p.Inputs[1] = p.Inputs[1], p.Inputs[0] },
		"input copied":    func(p *Pinned) { p.Inputs[0].Copied = true },
		"inputs swapped":  func(p *Pinned) { p.Inputs[0].Digest, p.Inputs[1].Digest = p.Inputs[1].Digest, p.Inputs[0].Digest },
		"mount content":   func(p *Pinned) { p.Mounts[0].Digest = "q" },
		"mount path":      func(p *Pinned) { p.Mounts[0].ContainerPath = "/k" },
		"cache name":      func(p *Pinned) { p.CacheMounts[0].Name = "q" },
		"cache path":      func(p *Pinned) { p.CacheMounts[0].Path = "/q" },
		"entrypoint":      func(p *Pinned) { p.Entrypoint = &[]string{"x"} },
		"no entrypoint":   func(p *Pinned) { p.Entrypoint = &[]string{} },
		"setup":           func(p *Pinned) { p.Setup = &PinnedSetup{Cmd: []string{"x"}} },
		"setup command":   func(p *Pinned) { p.Setup = &PinnedSetup{Cmd: []string{"y"}} },
		"setup network":   func(p *Pinned) { p.Setup = &PinnedSetup{Cmd: []string{"x"}, Network: NetworkHost} },
		"source":          func(p *Pinned) { p.Sources = []PinnedMount{{ContainerPath: "/m", Digest: "z"}} },
		"secret":          func(p *Pinned) { p.Secrets = []Secret{{Name: "S"}} },
		"secret variable": func(p *Pinned) { p.Secrets = []Secret{{Name: "S", Env: true}} },
	} {
		p := pinned()
		change(p)
		f := p.Fingerprint()
		if other, taken := seen[f]; taken {
			t.Errorf("%s gives the fingerprint of %s", what, other)
		}
		seen[f] = what
	}
}

func TestFingerprintIgnoresWhatDoesNotDecide(t *testing.T) {
	for what, change := range map[string]func(*Pinned){
		"order of mounts": func(p *Pinned) { slices.Reverse(p.Mounts) },
		"order of caches": func(p *Pinned) { slices.Reverse(p.CacheMounts) },
		"order of sets": func(p *Pinned) {
			slices.Reverse(p.Devices)
			slices.Reverse(p.Secrets)
			slices.Reverse(p.Tmpfs)
		},
		"where a mount is":   func(p *Pinned) { p.Mounts[0].HostPath = "/elsewhere" },
		"which run it reads": func(p *Pinned) { p.Inputs[0].Step, p.Inputs[0].RunID = "s", "r" },
		"access to a cache":  func(p *Pinned) { p.CacheMounts[0].Exclusive = true },
	} {
		p := full()
		change(p)
		if p.Fingerprint() != full().Fingerprint() {
			t.Errorf("%s changes the fingerprint", what)
		}
	}
	none := &Pinned{Options: Options{Cmd: []string{}, Env: map[string]string{}}}
	if none.Fingerprint() != (&Pinned{}).Fingerprint() {
		t.Error("an empty list is not the same as none")
	}
}
