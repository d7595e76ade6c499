package cli

import "os"

// Job returns the job of a batch system that this process belongs to, such as "slurm:12"; empty
// for none.
func Job() string {
	if id := os.Getenv("SLURM_JOB_ID"); id != "" {
		return "slurm:" + id
	}
	return ""
}
