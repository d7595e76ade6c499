package main

import (
	"strings"
	"testing"
	"time"

	"pipex/lib/pull"
)

// Each state of a pull is one line, with sizes as docker writes them.
func TestText(t *testing.T) {
	for _, c := range []struct {
		p    pull.Progress
		want string
	}{
		{pull.Progress{Ref: "a"}, "pipex-prepare: pulling a"},
		{pull.Progress{Ref: "a", Layers: 3, LayersDone: 1, Bytes: 1_234_567, Total: 23_456_789}, "pipex-prepare: pulling a: 1 of 3 layers, 1.23MB of 23.5MB"},
		{pull.Progress{Ref: "a", Layers: 3}, "pipex-prepare: pulling a: 0 of 3 layers, 0B of 0B"},
		{pull.Progress{Ref: "a", Layers: 3, LayersDone: 3, Bytes: 5, Total: 5}, "pipex-prepare: pulling a: unpacking 3 layers, 5B"},
		{pull.Progress{Ref: "a", Layers: 3, LayersDone: 3, Bytes: 5, Total: 5, Done: true}, "pipex-prepare: pulled a: 3 layers, 5B, in 1.5s"},
		{pull.Progress{Ref: "a", Done: true}, "pipex-prepare: pulled a: 0 layers, 0B, in 1.5s"},
		{pull.Progress{Ref: "a", Layers: 3, Done: true, Failed: true}, ""},
	} {
		if got := text("pipex-prepare", c.p, 1501*time.Millisecond); got != c.want || strings.Contains(got, "\n") {
			t.Errorf("%+v: %q, want %q", c.p, got, c.want)
		}
	}
}
