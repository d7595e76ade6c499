package name

import "testing"

func TestNear(t *testing.T) {
	known := []string{"name", "input", "optional-input", "copy-input", "image", "env", "env-file", "memory", "timeout", "userns", "user"}
	for word, want := range map[string]string{
		"inpt": "input", "inptu": "input", "inputs": "input", "Image": "image", "imgae": "image", "iamge": "image",
		"mem": "memory", "time-out": "timeout", "optional": "optional-input", "usr": "user", "envfile": "env-file",
		"": "", "x": "", "nothing": "", "en": "env", "e": "",
	} {
		if got := Near(word, known); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
