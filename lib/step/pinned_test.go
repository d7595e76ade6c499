package step

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"time"
)

// recorded is a decided step as meta.json gives it back.
func recorded(t *testing.T, p *Pinned) *Pinned {
	t.Helper()
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	again := new(Pinned)
	if err := json.Unmarshal(data, again); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return again
}

// Pin takes over all of a spec that needs no looking up.
func TestPin(t *testing.T) {
	options := Options{
		Platform: "linux/arm64", Cmd: []string{"sh"}, Entrypoint: &[]string{"e"}, Env: map[string]string{"A": "1"}, Cwd: "/w", User: "1",
		Output: "/o", Hostname: "h", Network: NetworkBridge, ReadOnly: true, NoInit: true, Bits32: true, Secrets: []Secret{{Name: "S"}},
		Devices: []string{"v/c=1"}, CapAdd: []string{"CAP_NET_RAW"}, CapDrop: []string{"ALL"},
	}
	caches := []Cache{{Name: "c", Path: "/c", ReadOnly: true}, {Name: "b", Path: "/b", Exclusive: true}}
	s := Spec{
		Step: "s", Name: "n", Image: "i", Options: options, Caches: caches,
		Setup: &Setup{Cmd: []string{"x"}, Network: NetworkNone, Caches: caches[1:]},
		Tmpfs: []Tmpfs{{Path: "/t", Size: 4096}, {Path: "/u"}}, Timeout: Duration(1500 * time.Millisecond),
		Inputs: []Input{{Step: "a", Path: "/a"}}, Mounts: []Mount{{"/h", "/m"}}, Sources: []Mount{{"/h", "/s"}}, Userns: true,
		Limits: Limits{Memory: 1, CPUs: 2.5, Pids: 3, ShmSize: 4, LogMax: 5, Ulimits: []string{"nofile=6"}},
	}
	want := &Pinned{
		StepID: "s", StepName: "n", Image: "i", Options: options, CacheMounts: caches, Caches: []string{"c", "b"},
		Setup: &PinnedSetup{Cmd: []string{"x"}, Network: NetworkNone, Caches: []string{"b"}, CacheMounts: caches[1:]},
		Tmpfs: []PinnedTmpfs{{Path: "/t", Bytes: 4096}, {Path: "/u"}}, AllowNetwork: true, TimeoutMs: 1500,
		Limits: &PinnedLimits{MemoryBytes: 1, CPUs: 2.5, Pids: 3, ShmBytes: 4, LogMaxBytes: 5, Ulimits: []string{"nofile=6"}},
	}
	if got := s.Pin(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// Each limit alone makes limits, and none makes none: for one that is added later, too.
func TestPinOfLimits(t *testing.T) {
	if p := (&Spec{}).Pin(); p.Limits != nil {
		t.Errorf("%+v", p.Limits)
	}
	limits := reflect.TypeFor[Limits]()
	for i := range limits.NumField() {
		var s Spec
		switch f := reflect.ValueOf(&s.Limits).Elem().Field(i); f.Kind() {
		case reflect.Int64:
			f.SetInt(7)
		case reflect.Float64:
			f.SetFloat(7)
		default:
			change(t, f)
		}
		if got := s.Pin().Limits; got == nil || reflect.DeepEqual(got, &PinnedLimits{}) {
			t.Errorf("%s: %+v", limits.Field(i).Name, got)
		}
	}
}

func TestPinSaysWhetherThereIsANetwork(t *testing.T) {
	for network, allowed := range map[Network]bool{NetworkNone: false, NetworkHost: true, NetworkBridge: true, "cni:x": true} {
		s := Spec{Options: Options{Network: network}, Setup: &Setup{Network: network}}
		if p := s.Pin(); p.AllowNetwork != allowed || p.Setup.AllowNetwork != allowed {
			t.Errorf("%s: %v, %v", network, p.AllowNetwork, p.Setup.AllowNetwork)
		}
	}
}

// What meta.json gives back is the step that was decided.
func TestPinnedOutlivesJSON(t *testing.T) {
	var none []string
	for what, s := range map[string]Spec{
		"nothing":           {},
		"no entrypoint":     {Options: Options{Entrypoint: &[]string{}}},
		"a nil one":         {Options: Options{Entrypoint: &none}},
		"an entrypoint":     {Options: Options{Entrypoint: &[]string{"a"}}},
		"an empty word":     {Options: Options{Cmd: []string{""}, Env: map[string]string{"A": ""}}},
		"hostile names":     {Options: Options{Env: map[string]string{"__proto__": "</script>\u2028", "a\tb": "\x7f"}}},
		"a setup's nothing": {Setup: &Setup{}},
	} {
		p := s.Complete().Pin()
		again := recorded(t, p)
		if got, want := again.Fingerprint(), p.Fingerprint(); got != want {
			t.Errorf("%s: %s became %s", what, p.Canonical(), again.Canonical())
		}
		if (again.Entrypoint == nil) != (p.Entrypoint == nil) {
			t.Errorf("%s: the entrypoint %v became %v", what, p.Entrypoint, again.Entrypoint)
		}
	}
	if again := recorded(t, full()); again.Fingerprint() != full().Fingerprint() {
		t.Errorf("%s", again.Canonical())
	}
}

// Root of a user namespace is one user, and those after root a range: no user of it is
// two users outside, and none is root there unless root is mapped so.
func TestIDMap(t *testing.T) {
	m := &IDMap{UID: 1000, GID: 100, SubUID: 100000, SubGID: 200000}
	for id, want := range map[uint32][2]uint32{
		0: {1000, 100}, 1: {100000, 200000}, 1000: {100999, 200999}, IDCount: {165534, 265534},
		IDCount + 1: {IDCount + 1, IDCount + 1}, 1<<32 - 1: {1<<32 - 1, 1<<32 - 1},
	} {
		if got := [2]uint32{m.HostUID(id), m.HostGID(id)}; got != want {
			t.Errorf("%d: %d, want %d", id, got, want)
		}
	}
	var all []uint32
	for id := range uint32(IDCount + 1) {
		all = append(all, m.HostUID(id))
	}
	slices.Sort(all)
	if distinct := slices.Compact(all); len(distinct) != IDCount+1 || distinct[0] == 0 {
		t.Errorf("%d users of %d, the first is %d", len(distinct), IDCount+1, distinct[0])
	}
}
