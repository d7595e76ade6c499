package run

import (
	"context"
	"os/exec"
	"strings"
	"time"

	"pipex/lib/workspace"
)

// scancelPatience is how long scancel may take.
const scancelPatience = 20 * time.Second

// JobName is the name of the job of a batch system that is submitted for one run.
func JobName(m *workspace.Meta) string { return "pipex-" + m.StepID + "-" + m.RunID }

// EndJob ends the job that was submitted for a run, if it was. Its exec has ended; Slurm ends a job whose srun
// was killed only at its time limit. A job of another name, such as an allocation for many runs, is left alone.
func EndJob(m *workspace.Meta) {
	if len(m.Execs) == 0 {
		return
	}
	id, ok := strings.CutPrefix(m.Execs[len(m.Execs)-1].Job, "slurm:")
	if !ok || id == "" || strings.Trim(id, "0123456789") != "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), scancelPatience)
	defer cancel()
	exec.CommandContext(ctx, "scancel", "--quiet", "--name="+JobName(m), id).Run() // there may be no such job any more
}
