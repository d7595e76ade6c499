package cgroup

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The files are as cgroups(7) and the kernel's cgroup-v2 documentation have them.
func TestUsage(t *testing.T) {
	v1 := map[string]string{
		"memory/memory.max_usage_in_bytes": "33554432\n", "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
		"cpuacct/cpuacct.usage": "1500000000\n", "pids/pids.max": "20\n",
	}
	v2 := map[string]string{
		"unified/memory.peak": "33554432\n", "unified/memory.events": "low 0\nhigh 0\nmax 7\noom 2\noom_kill 2\noom_group_kill 0\n",
		"unified/cpu.stat": "usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\n",
	}
	for name, files := range map[string]map[string]string{"version 1": v1, "version 2": v2} {
		root := t.TempDir()
		for path, text := range files {
			path = filepath.Join(root, path)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		dirs, err := os.ReadDir(root)
		if err != nil {
			t.Fatal(err)
		}
		var got Usage
		for _, d := range dirs {
			if d.Name() == "unified" {
				got.read2(filepath.Join(root, d.Name()))
			} else {
				got.read1(filepath.Join(root, d.Name()), []string{"rw", d.Name()})
			}
		}
		want := Usage{PeakMemory: 32 << 20, CPU: 1500 * time.Millisecond, OOMKilled: true}
		if got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	var none Usage
	none.read1(t.TempDir(), []string{"memory", "cpuacct"})
	none.read2(t.TempDir())
	if none != (Usage{}) {
		t.Errorf("where there is nothing: %+v", none)
	}
}
