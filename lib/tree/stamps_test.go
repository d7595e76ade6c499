package tree

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// scanned returns a tree's stamps, after a round trip through their encoded form.
func scanned(t *testing.T, dir string, options ...Option) *Stamps {
	t.Helper()
	stamps := new(Stamps)
	if _, err := Scan(t.Context(), dir, append(options, Stamped(stamps), RecordSpecial())...); err != nil {
		t.Fatal(err)
	}
	again, err := DecodeStamps(stamps.Encode())
	if err != nil {
		t.Fatal(err)
	}
	return again
}

func changes(t *testing.T, stamps *Stamps, dir string, options ...Option) (list []string) {
	t.Helper()
	found, err := stamps.Look(t.Context(), dir, options...)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range found {
		list = append(list, c.Kind+" "+c.Path)
	}
	return list
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// age gives the stamps the look of an old tree: nothing in it was changed a moment before the scan.
func age(stamps *Stamps) {
	for i := range stamps.objects {
		stamps.objects[i].flags &^= recent
	}
}

// A file that was changed in the tick in which it was scanned has the same stamp: its content
// decides. An older file is not read.
func TestLookAtRecentFiles(t *testing.T) {
	dir := t.TempDir()
	f := filepath.Join(dir, "f")
	write(t, f, "one")
	stamps := scanned(t, dir)
	if list := changes(t, stamps, dir); list != nil {
		t.Errorf("nothing has changed: %q", list)
	}
	for i := range stamps.objects {
		if stamps.objects[i].path == "f" {
			stamps.objects[i].sum[0]++
		}
	}
	if list := changes(t, stamps, dir); !slices.Equal(list, []string{"changed f"}) {
		t.Errorf("other content under the same stamp: %q", list)
	}
	age(stamps)
	if list := changes(t, stamps, dir); list != nil {
		t.Errorf("a file was read whose stamp is old: %q", list)
	}
}

// A file system that numbers a file anew has not changed it, unless its content is another.
func TestLookAtInodes(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "d/f"), "one")
	stamps := scanned(t, dir)
	age(stamps)
	for i := range stamps.objects {
		stamps.objects[i].stamp[stampIno]++
	}
	if list := changes(t, stamps, dir); list != nil {
		t.Errorf("%q", list)
	}
	for i := range stamps.objects {
		stamps.objects[i].sum[0]++
	}
	if list := changes(t, stamps, dir); !slices.Contains(list, "changed d/f") {
		t.Errorf("%q", list)
	}
}

// What pipex keeps below a directory is left out, also if it is created later or kept by others.
func TestLookLeavesOut(t *testing.T) {
	dir := t.TempDir()
	own := filepath.Join(dir, "d/own/deep")
	write(t, filepath.Join(dir, "d/f"), "one")
	stamps := scanned(t, dir, Without(own))
	age(stamps)
	write(t, filepath.Join(own, "x"), "x")
	if list := changes(t, stamps, dir, Without(filepath.Dir(own))); list != nil {
		t.Errorf("created later: %q", list)
	}
	stamps = scanned(t, dir, Without(filepath.Dir(own)))
	write(t, filepath.Join(own, "y"), "y")
	if list := changes(t, stamps, dir); list != nil {
		t.Errorf("left out by the scan only: %q", list)
	}
	write(t, filepath.Join(dir, "d/g"), "new")
	if list := changes(t, stamps, dir); !slices.Equal(list, []string{"added d/g"}) {
		t.Errorf("%q", list)
	}
}

// A root that is one file; one that is gone; one that cannot be read; a caller who gives up.
func TestLookAtRoots(t *testing.T) {
	dir := t.TempDir()
	f := filepath.Join(dir, "f")
	write(t, f, "one")
	stamps := scanned(t, f)
	if list := changes(t, stamps, f); list != nil {
		t.Errorf("%q", list)
	}
	write(t, f, "two")
	if list := changes(t, stamps, f); !slices.Equal(list, []string{"changed ."}) {
		t.Errorf("%q", list)
	}
	if err := os.Remove(f); err != nil {
		t.Fatal(err)
	}
	if list := changes(t, stamps, f); !slices.Equal(list, []string{"removed ."}) {
		t.Errorf("%q", list)
	}
	if found, err := stamps.Look(t.Context(), filepath.Join(dir, "\x00")); err == nil {
		t.Errorf("%v", found)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if found, err := scanned(t, dir).Look(ended, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", found, err)
	}
}

// Only stamps as they were written are read.
func TestDecodeStamps(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "d/f"), "one")
	data := scanned(t, dir).Encode()
	for i := range data {
		if _, err := DecodeStamps(data[:i]); err == nil {
			t.Errorf("cut to %d bytes", i)
		}
		other := slices.Clone(data)
		other[i]++
		if _, err := DecodeStamps(other); err == nil {
			t.Errorf("byte %d is another", i)
		}
	}
}

// To look again at a large tree costs about what a walk costs.
func BenchmarkLook(b *testing.B) {
	dir := b.TempDir()
	const files, perDirectory = 50_000, 500
	for i := range files {
		d := filepath.Join(dir, "d"+string(rune('a'+i/perDirectory%26))+string(rune('a'+i/perDirectory/26)))
		if i%perDirectory == 0 {
			if err := os.Mkdir(d, 0o755); err != nil {
				b.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(d, "file-"+string(rune('a'+i%26))+time.Duration(i).String()), []byte("text"), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	stamps := new(Stamps)
	if _, err := Scan(b.Context(), dir, Stamped(stamps)); err != nil {
		b.Fatal(err)
	}
	age(stamps)
	data := stamps.Encode()
	b.Run("walk", func(b *testing.B) {
		for b.Loop() {
			_, err := walk(b.Context(), dir, func() visitor[struct{}] {
				return func(context.Context, *object) (none struct{}, err error) { return none, nil }
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("look", func(b *testing.B) {
		for b.Loop() {
			stamps, err := DecodeStamps(data)
			if err != nil {
				b.Fatal(err)
			}
			if found, err := stamps.Look(b.Context(), dir); err != nil || found != nil {
				b.Fatal(found, err)
			}
		}
	})
}

// A glance sees each change of content, however it is hidden, and no mere use.
func TestGlance(t *testing.T) {
	dir := t.TempDir()
	f := filepath.Join(dir, "d/f")
	write(t, f, "one")
	if err := os.Symlink("f", filepath.Join(dir, "d/l")); err != nil {
		t.Fatal(err)
	}
	glance := func() string {
		t.Helper()
		digest, err := Glance(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		return digest
	}
	before := glance()
	if _, err := os.ReadFile(f); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	if glance() != before {
		t.Error("it differs without a change of content")
	}
	old := time.Now().Add(-time.Hour)
	for what, change := range map[string]func() error{
		"in place": func() error { return errors.Join(os.WriteFile(f, []byte("two"), 0o644), os.Chtimes(f, old, old)) },
		"added":    func() error { return os.WriteFile(filepath.Join(dir, "d/g"), nil, 0o644) },
		"removed":  func() error { return os.Remove(f) },
		"link":     func() error { os.Remove(filepath.Join(dir, "d/l")); return os.Symlink("g", filepath.Join(dir, "d/l")) },
		"mode":     func() error { return os.Chmod(filepath.Join(dir, "d/g"), 0o755) },
	} {
		if err := errors.Join(os.WriteFile(f, []byte("one"), 0o644), os.WriteFile(filepath.Join(dir, "d/g"), nil, 0o644), os.Chtimes(f, old, old)); err != nil {
			t.Fatal(err)
		}
		if what == "added" {
			os.Remove(filepath.Join(dir, "d/g"))
		}
		time.Sleep(20 * time.Millisecond) // longer than a tick
		before := glance()
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if glance() == before {
			t.Errorf("%s: the same", what)
		}
	}
}

// Only where the clock counts in whole seconds is the end of a tick waited for, and only for what was
// changed in it.
func TestSettle(t *testing.T) {
	// Each is made when it is waited for: the others take their time, too.
	object := func(flags uint8, age int64, nanoseconds uint64) func() stamped {
		return func() stamped {
			return stamped{path: "f", flags: flags, stamp: stamp{stampCtime: uint64(time.Now().Unix() - age), stampCtime + 1: nanoseconds}}
		}
	}
	for what, c := range map[string]struct {
		object func() stamped
		waits  bool
	}{
		"old":           {object(0, 100, 0), false},
		"recent":        {object(recent, 0, 123), false},
		"whole seconds": {object(recent, 0, 0), true},
		"the future":    {object(recent, -1000, 0), true},
	} {
		is := c.object()
		began := time.Now()
		if err := (&Stamps{objects: []stamped{is}}).Settle(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 900*time.Millisecond != c.waits || took > 5*time.Second {
			t.Errorf("%s: %s", what, took)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (&Stamps{objects: []stamped{object(recent, -1000, 0)()}}).Settle(ended); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
