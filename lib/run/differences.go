package run

import (
	"errors"
	"fmt"

	"pipex/lib/step"
	"pipex/lib/workspace"
)

// Differences lists why a lookup for the step is does not offer the run r, whose record is was:
// what differs between the two, and whether r failed, was not committed, or has another reason
// of its own. fit says that it has none. It does not look at r's artifacts; see
// [workspace.Workspace.Intact].
func Differences(ws *workspace.Workspace, r workspace.Run, was, is *workspace.Meta, trees step.Trees) (found []step.Difference, fit bool) {
	if was.Fingerprint != is.Fingerprint {
		found = step.Differences(&was.Pinned, &is.Pinned, trees)
		if len(found) == 0 {
			tool := was.Version
			if tool == "" {
				tool = "none"
			}
			found = append(found, step.Difference{What: "fingerprint", Detail: "is of another version or tool: " + tool})
		}
	}
	why := unfit(ws, r, was)
	if why != "" {
		found = append(found, step.Difference{What: "run " + r.ID, Detail: why})
	}
	return found, why == ""
}

// unfit says why a lookup does not offer a run, whatever its fingerprint; "" if it does.
func unfit(ws *workspace.Workspace, r workspace.Run, m *workspace.Meta) string {
	switch m.Status {
	case workspace.Prepared:
		return "it was not executed"
	case workspace.Running:
		var busy *workspace.BusyError
		if err := ws.Held(r.ID); !errors.As(err, &busy) {
			return "it was interrupted: its pipex-exec has died; pipex-exec " + r.ID + " attaches"
		}
		return "it is being executed"
	case workspace.Success:
		if !r.Committed {
			return "it is not committed"
		}
		if changed := m.Changed(); changed != "" {
			return "its inputs changed while it ran: " + changed
		}
		return ""
	}
	switch {
	case m.Reason != "":
		return "it failed: " + m.Reason
	case m.ExitCode != nil:
		return fmt.Sprintf("it failed with status %d", *m.ExitCode)
	}
	return "it failed"
}
