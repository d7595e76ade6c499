package tree

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCompare(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, map[string]string{"content": "1", "gone": "2", "link": "-> a", "mode": "3", "same": "4", "type": "5"})
	was := scan1(t, dir)
	for _, name := range []string{"content", "gone", "link", "type"} {
		ok(t, os.Remove(filepath.Join(dir, name)))
	}
	plant(t, dir, map[string]string{"content*": "12", "link": "-> b", "type/in": "", "new\n": ""})
	ok(t, os.Chmod(filepath.Join(dir, "mode"), 0o600))
	var got []string
	for _, d := range was.Compare(scan1(t, dir)) {
		got = append(got, d.String())
	}
	want := `mode "content": 0755, was 0644
content "content": 2 bytes, sha256 6b51d431df5d7f141cbececcf79edf3dd861c3b4069f0b11661a3eefacbba918, was 1 bytes, sha256 6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b
missing "gone"
link "link": "b", was "a"
mode "mode": 0600, was 0644
extra "new\n"
type "type": dir, was file
extra "type/in"`
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}

// Without differences the digest is the same; a mode alone does not change it.
func TestCompareAgreesWithDigest(t *testing.T) {
	equal := 0
	for seed := range uint64(300) {
		a, b := someTree(rand.New(rand.NewPCG(seed, 3))), someTree(rand.New(rand.NewPCG(seed/2*2, 3)))
		ab, ba := a.Compare(b), b.Compare(a)
		differ := false
		for i, d := range ab {
			if d.Path != ba[i].Path || d.Was != ba[i].Is || d.Is != ba[i].Was {
				t.Errorf("%v is not the reverse of %v", ba[i], d)
			}
			differ = differ || d.Kind != Mode || d.Was.Mode.IsRegular() && (d.Was.Mode^d.Is.Mode)&0o100 != 0
		}
		if differ == (a.Digest() == b.Digest()) || len(ab) != len(ba) {
			t.Errorf("%v", ab)
		}
		if !differ {
			equal++
		}
	}
	if equal < 150 || equal == 300 {
		t.Errorf("%d pairs are equal", equal)
	}
}
