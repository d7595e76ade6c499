package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"pipex/lib/run"
	"pipex/lib/workspace"
)

// own is the memory that pipex-exec and the container's shim take besides the command, in bytes.
const own = 64 << 20

// ending is how long a job may take besides its command, for images and to end it.
const ending = 5 * time.Minute

// request returns srun's options for a run (srun(1)): as a job step inside an allocation, else as a job. nested says that
// this process is itself in a job step, which has the resources already.
func request(m *workspace.Meta, inside, nested, interactive bool) []string {
	options := []string{"--quiet", "--disable-status", "--nodes=1", "--ntasks=1", "--mpi=none", "--kill-on-bad-exit=0", "--job-name=" + run.JobName(m)}
	if inside {
		options = append(options, "--exact")
	}
	if nested {
		options = append(options, "--overlap")
	}
	if !interactive {
		options = append(options, "--input=none")
	}
	cpus, memory := 1, int64(0)
	if l := m.Limits; l != nil {
		cpus, memory = max(int(math.Ceil(l.CPUs)), 1), l.MemoryBytes
	}
	options = append(options, fmt.Sprintf("--cpus-per-task=%d", cpus))
	if memory > 0 {
		options = append(options, fmt.Sprintf("--mem=%dM", (memory+own+1<<20-1)>>20))
	} else if inside {
		options = append(options, "--mem=0") // else a step takes all of the job's
	}
	if m.TimeoutMs > 0 {
		limit := time.Duration(m.TimeoutMs)*time.Millisecond + ending
		options = append(options, fmt.Sprintf("--time=%d", int(math.Ceil(limit.Minutes()))))
	}
	if gres := resources(m.Devices); gres != "" {
		options = append(options, "--gres="+gres)
	}
	return options
}

// resources are generic resources (gres.conf(5)) for the names of CDI devices: nvidia.com/gpu=0 is one gpu.
func resources(devices []string) string {
	count := map[string]int{}
	var classes []string
	for _, d := range devices {
		kind, _, _ := strings.Cut(d, "=")
		_, class, ok := strings.Cut(kind, "/")
		if !ok {
			continue
		}
		if count[class]++; !slices.Contains(classes, class) {
			classes = append(classes, class)
		}
	}
	for i, c := range classes {
		classes[i] = fmt.Sprintf("%s:%d", c, count[c])
	}
	return strings.Join(classes, ",")
}

// kept are the variables of Slurm's that say which cluster and which allocation this is. The others would be options of
// a job step: the number of tasks of the allocation, for example.
var kept = []string{"SLURM_CONF", "SLURM_JOB_ID", "SLURM_JOBID", "SLURM_CLUSTER_NAME", "SLURM_CLUSTERS", "SLURM_JWT"}

// environment returns the variables for srun.
func environment(all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return strings.HasPrefix(name, "SLURM_") && !slices.Contains(kept, name)
	})
}
