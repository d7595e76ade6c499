package status

import "pipex/lib/workspace"

// Tally says how many steps there are, and how the newest run of each is: done, running or
// failed. The others are prepared, or their run is gone. An open run without a step counts
// as a step.
type Tally struct{ Steps, Done, Running, Failed int }

// Tallied counts the steps of rows that [Read] returned and [MarkSucceeded] has seen.
func Tallied(linked, open []*Row) (t Tally) {
	type step struct{ workspace, id, run string }
	newest := map[step]workspace.Status{}
	for _, r := range linked {
		newest[step{r.Workspace, r.StepID, ""}] = r.Status
	}
	for _, r := range open {
		of := step{r.Workspace, r.StepID, ""}
		if r.StepID == "" {
			of.run = r.RunID
		}
		if !r.SucceededSince && newest[of] != workspace.Running {
			newest[of] = r.Status
		}
	}
	t.Steps = len(newest)
	for _, s := range newest {
		switch s {
		case workspace.Success:
			t.Done++
		case workspace.Running:
			t.Running++
		case workspace.Failure, Interrupted:
			t.Failed++
		}
	}
	return t
}
