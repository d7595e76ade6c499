package step

import "testing"

func ingredients() Ingredients {
	return Ingredients{
		Image: "sha256:1", Cmd: []string{"sh", "-c", "true"}, Env: map[string]string{"B": "2", "A": "1"}, Cwd: "/w", User: "1",
		Network: NetworkNone, Output: "/output", Hostname: "pipex",
		Caches: [][2]string{{"c", "/c"}, {"b", "/b"}},
		Inputs: []Content{{Path: "/input/a", Digest: "x"}, {Path: "/input/b", Digest: "y", Copied: true}},
		Mounts: []Content{{Path: "/m", Digest: "z"}, {Path: "/l", Digest: "w"}},
	}
}

// The canonical form is on disk wherever pipex has run: a change of this value
// makes every committed run new, and wants a new form number.
func TestFingerprintIsStable(t *testing.T) {
	const want = "2c3492a0a5a15f433237ff8e2b358c382e1518cdfb168d5b4a6fdcc2a579d64d"
	if got := ingredients().Fingerprint(); got != want {
		t.Errorf("got %s", got)
	}
}

func TestFingerprintChangesWithWhatDecides(t *testing.T) {
	seen := map[string]string{ingredients().Fingerprint(): "nothing"}
	for what, change := range map[string]func(*Ingredients){
		"image":          func(in *Ingredients) { in.Image = "sha256:2" },
		"command":        func(in *Ingredients) { in.Cmd = []string{"sh", "-c", "true", ""} },
		"command, split": func(in *Ingredients) { in.Cmd = []string{"sh", "-c true"} },
		"env value":      func(in *Ingredients) { in.Env = map[string]string{"A": "1", "B": "3"} },
		"env name":       func(in *Ingredients) { in.Env = map[string]string{"A": "1", "C": "2"} },
		"cwd":            func(in *Ingredients) { in.Cwd = "/x" },
		"user":           func(in *Ingredients) { in.User = "2" },
		"network":        func(in *Ingredients) { in.Network = NetworkHost },
		"output":         func(in *Ingredients) { in.Output = "/o" },
		"host name":      func(in *Ingredients) { in.Hostname = "h" },
		"read-only":      func(in *Ingredients) { in.ReadOnly = true },
		"input content":  func(in *Ingredients) { in.Inputs[0].Digest = "q" },
		"input path":     func(in *Ingredients) { in.Inputs[0].Path = "/input/c" },
		"input order":    func(in *Ingredients) { in.Inputs[0], in.Inputs[1] = in.Inputs[1], in.Inputs[0] },
		"input copied":   func(in *Ingredients) { in.Inputs[0].Copied = true },
		"inputs swapped": func(in *Ingredients) {
			in.Inputs[0].Digest, in.Inputs[1].Digest = in.Inputs[1].Digest, in.Inputs[0].Digest
		},
		"mount content": func(in *Ingredients) { in.Mounts[0].Digest = "q" },
		"mount path":    func(in *Ingredients) { in.Mounts[0].Path = "/k" },
		"cache name":    func(in *Ingredients) { in.Caches[0][0] = "q" },
		"cache path":    func(in *Ingredients) { in.Caches[0][1] = "/q" },
		"entrypoint":    func(in *Ingredients) { in.Entrypoint = &[]string{"x"} },
		"no entrypoint": func(in *Ingredients) { in.Entrypoint = &[]string{} },
		"setup":         func(in *Ingredients) { in.Setup = &Prelude{Cmd: []string{"x"}} },
		"setup command": func(in *Ingredients) { in.Setup = &Prelude{Cmd: []string{"y"}} },
		"setup network": func(in *Ingredients) { in.Setup = &Prelude{Cmd: []string{"x"}, Network: NetworkHost} },
		"source":        func(in *Ingredients) { in.Sources = []Content{{Path: "/m", Digest: "z"}} },
		"secret":        func(in *Ingredients) { in.Secrets = []string{"S"} },
		"capability":    func(in *Ingredients) { in.CapAdd = []string{"S"} },
	} {
		in := ingredients()
		change(&in)
		f := in.Fingerprint()
		if other, taken := seen[f]; taken {
			t.Errorf("%s gives the fingerprint of %s", what, other)
		}
		seen[f] = what
	}
}

func TestFingerprintIgnoresWhatDoesNotDecide(t *testing.T) {
	want := ingredients().Fingerprint()
	in := ingredients()
	in.Mounts[0], in.Mounts[1] = in.Mounts[1], in.Mounts[0]
	if in.Fingerprint() != want {
		t.Error("the order of mounts matters")
	}
	in = Ingredients{Cmd: []string{}, Env: map[string]string{}}
	if in.Fingerprint() != (Ingredients{}).Fingerprint() {
		t.Error("an empty list is not the same as none")
	}
	in = ingredients()
	in.Caches[0], in.Caches[1] = in.Caches[1], in.Caches[0]
	if in.Fingerprint() != want {
		t.Error("the order of caches matters")
	}
}
