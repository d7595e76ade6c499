package cgroup

import "testing"

func TestOwnGroup(t *testing.T) {
	for _, test := range []struct{ name, data, want string }{
		{"nowhere", "3:memory:/\n2:cpu,cpuacct:/\n0::/\n", "/"},
		{"one of several", "9:name=systemd:/system.slice/x\n4:memory:/a/b\n3:cpuset:/\n0::/\n", "/a/b"},
		{"Slurm, version 1", "11:pids:/system.slice/slurmd.service\n9:memory:/slurm/uid_0/job_2/step_0/task_0\n8:cpuset:/slurm/uid_0/job_2/step_0\n7:freezer:/slurm/uid_0/job_2/step_0\n6:devices:/slurm/uid_0/job_2/step_0/task_0\n1:name=systemd:/system.slice/slurmd.service\n", "/slurm/uid_0/job_2/step_0"},
		{"two families", "9:memory:/slurm/job_1\n8:cpu:/user.slice\n", "/slurm/job_1"},
		{"alike, and not below", "9:memory:/a/bc\n8:cpuset:/a/b\n", "/a/bc"},
		{"version 2", "0::/user.slice/session-1.scope\n", "/user.slice/session-1.scope"},
		{"hybrid, nothing of version 1", "4:memory:/\n1:name=systemd:/x\n0::/x\n", "/"},
		{"Slurm, version 2", "0::/system.slice/slurmstepd.scope/job_5/step_0/user/task_0\n", "/system.slice/slurmstepd.scope/job_5/step_0/user"},
		{"a damaged line", "memory\n0::/y\n", "/y"},
	} {
		if got := ownGroup(test.data); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
