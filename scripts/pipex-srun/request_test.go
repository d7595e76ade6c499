package main

import (
	"slices"
	"strings"
	"testing"

	"pipex/lib/step"
	"pipex/lib/workspace"
)

func TestRequest(t *testing.T) {
	m := &workspace.Meta{}
	m.StepID, m.RunID = "a", "7"
	m.Limits = &step.PinnedLimits{CPUs: 1.5, MemoryBytes: 100 << 20}
	m.TimeoutMs = 90_000
	m.Devices = []string{"nvidia.com/gpu=0", "nvidia.com/gpu=1", "x.org/fpga=a"}
	got := strings.Join(request(m, false, false, false), " ")
	for _, want := range []string{"--cpus-per-task=2", "--mem=164M", "--time=7", "--gres=gpu:2,fpga:1", "--job-name=pipex-a-7", "--input=none"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if strings.Contains(got, "--exact") || strings.Contains(got, "--overlap") {
		t.Error(got)
	}
	got = strings.Join(request(&workspace.Meta{}, true, true, true), " ")
	for _, want := range []string{"--exact", "--overlap", "--mem=0", "--cpus-per-task=1"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	for _, no := range []string{"--time", "--gres", "--input"} {
		if strings.Contains(got, no) {
			t.Errorf("%s in %s", no, got)
		}
	}
}

func TestEnvironment(t *testing.T) {
	got := environment([]string{"A=b", "SLURM_NTASKS=48", "SLURM_JOB_ID=7", "SLURM_CONF=/x", "SLURM_CPUS_PER_TASK=4"})
	if want := []string{"A=b", "SLURM_JOB_ID=7", "SLURM_CONF=/x"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
