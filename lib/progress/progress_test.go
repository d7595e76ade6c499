package progress

import (
	"sync"
	"testing"
)

// What is counted goes to the work that has begun first, until all who take part have ended it.
func TestWork(t *testing.T) {
	Add("file", 1, 1) // to nobody
	if s, ok := Now(); ok {
		t.Fatal(s)
	}
	first, rest := 0, 0
	Watch(func() func() {
		first++
		return func() { rest++ }
	})
	defer Watch(nil)
	outer := Begin("verifying", "file")
	outer.Of(8000, 0)
	inner := Begin("reading", "file")
	var g sync.WaitGroup
	for range 8 {
		g.Go(func() {
			for range 1000 {
				Add("file", 1, 2)
				Add("run", 1, 0)
			}
		})
	}
	g.Wait()
	if s, _ := Now(); s.What != "verifying" || s.Unit != "file" || s.Done != 8000 || s.Bytes != 16000 || s.Of != 8000 {
		t.Error(s)
	}
	outer.End()
	if s, ok := Now(); !ok || s.What != "verifying" || rest != 0 {
		t.Error(s, ok, rest)
	}
	inner.End()
	if s, ok := Now(); ok || rest != 1 {
		t.Error(s, rest)
	}
	Begin("copying", "").End()
	if first != 2 || rest != 2 {
		t.Error(first, rest)
	}
}

func TestString(t *testing.T) {
	for want, s := range map[string]State{
		"writing":                      {What: "writing"},
		"hashing":                      {What: "hashing", Unit: "file"},
		"hashing 1 file":               {What: "hashing", Unit: "file", Done: 1},
		"removing 1 of 2 runs":         {What: "removing", Unit: "run", Done: 1, Of: 2},
		"importing, 1.5KiB of 2MiB":    {What: "importing", Bytes: 1536, OfBytes: 2 << 20},
		"hashing 3 files, 1GiB":        {What: "hashing", Unit: "file", Done: 3, Bytes: 1 << 30},
		"pulling a 1 of 1 layer, 1KiB": {What: "pulling a", Unit: "layer", Done: 1, Of: 1, Bytes: 1024},
	} {
		if got := s.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
