package status

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"pipex/lib/name"
	"pipex/lib/workspace"
)

// foreignRows returns a row for each step that @livingdata/pipex is running: it has
// running/STEP for that, with the id of its process. Its run has no record before it ends.
func foreignRows(ws *workspace.Workspace) (rows []*Row) {
	dir := filepath.Join(ws.Root, "running")
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if name.Check("step", e.Name()) != nil || !e.Type().IsRegular() {
			continue
		}
		var marker struct {
			StartedAt workspace.Time `json:"startedAt"`
			PID       int            `json:"pid"`
			StepName  string         `json:"stepName"`
		}
		if readJSON(filepath.Join(dir, e.Name()), &marker) != nil || marker.PID <= 0 || unix.Kill(marker.PID, 0) == unix.ESRCH {
			continue
		}
		ms := max(time.Since(marker.StartedAt.Time).Milliseconds(), 0)
		rows = append(rows, &Row{StepID: e.Name(), StepName: marker.StepName, Status: workspace.Running, StartedAt: &marker.StartedAt, DurationMs: &ms, Open: true})
	}
	return rows
}

func readJSON(path string, v any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}
