package main

import (
	"slices"
	"testing"
)

func TestCPUs(t *testing.T) {
	for text, want := range map[string][]int{
		"": nil, "4": {4}, "4(x3)": {4, 4, 4}, "2,4(x2),1": {2, 4, 4, 1}, "x": nil, "4(xy)": nil, "0": nil, "4(x99999999)": nil,
	} {
		if got := cpus(text); !slices.Equal(got, want) {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestNames(t *testing.T) {
	for text, want := range map[string][]named{
		"a b:8":      {{"a", 0}, {"b", 8}},
		"u@h.x, c:1": {{"u@h.x", 0}, {"c", 1}},
		"-oProxy=x":  nil, "a b:0": nil, "a:b": nil, "a;b": nil, "a:9999": nil,
	} {
		t.Setenv("PIPEX_HOSTS", text)
		got, err := names()
		if !slices.Equal(got, want) || (err == nil) != (want != nil) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	t.Setenv("PIPEX_HOSTS", "")
	t.Setenv("SLURM_JOB_NODELIST", "a,b")
	t.Setenv("SLURM_JOB_CPUS_PER_NODE", "2(x2)")
	if got, err := names(); err != nil || !slices.Equal(got, []named{{"a", 2}, {"b", 2}}) {
		t.Error(got, err)
	}
}
