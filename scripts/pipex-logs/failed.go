package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"pipex/lib/cli"
	"pipex/lib/name"
	"pipex/lib/status"
	"pipex/lib/workspace"
)

// failed prints the logs of the failed runs, the oldest first: of all whose step has not
// succeeded since, or of each step that the operands name, the newest.
func failed(c *cli.Call, streams []string) error {
	if c.Bool("follow") {
		return name.Usage("a failed run has its result; --follow and --failed exclude each other")
	}
	ws, named, err := c.RunOperands()
	if err != nil {
		return err
	}
	linked, open, err := status.Read(c.Context.Context, ws)
	c.Warn(err)
	status.MarkSucceeded(linked, open)
	rows := slices.DeleteFunc(append(linked, open...), func(r *status.Row) bool { return r.Status != workspace.Failure })
	slices.SortFunc(rows, func(a, b *status.Row) int {
		return cmp.Or(ended(a).Compare(ended(b)), cmp.Compare(a.RunID, b.RunID))
	})
	if len(named) == 0 {
		rows = slices.DeleteFunc(rows, func(r *status.Row) bool { return r.SucceededSince })
	} else if rows, err = newest(rows, named); err != nil {
		return err
	}
	for _, r := range rows {
		c.Say("%s", headline(r))
		if err := show(c, ws, r.Run, streams); err != nil {
			return err
		}
	}
	if len(rows) == 0 {
		c.Say("no failed run in workspace %q", ws.ID)
	}
	return nil
}

func ended(r *status.Row) (at time.Time) {
	if r.FinishedAt != nil {
		at = r.FinishedAt.Time
	}
	return at
}

// newest returns of rows, oldest first, the last one of each step of the named runs.
func newest(rows []*status.Row, named []workspace.Run) (of []*status.Row, err error) {
	for _, r := range named {
		m, err := r.Meta()
		if err != nil {
			return nil, err
		}
		i := len(rows) - 1
		for ; i >= 0 && (m.StepID == "" || rows[i].StepID != m.StepID) && rows[i].RunID != r.ID; i-- {
		}
		if i < 0 {
			return nil, fmt.Errorf("%w: step %q has no failed run", workspace.ErrNoRun, m.StepID)
		}
		of = append(of, rows[i])
	}
	return of, nil
}

// headline says which run failed, and why.
func headline(r *status.Row) string {
	line := "run " + r.RunID
	if r.StepID != "" {
		line = fmt.Sprintf("step %q, run %s", r.StepID, r.RunID)
	}
	if r.ExitCode != nil {
		line += fmt.Sprintf(", failed with status %d", *r.ExitCode)
	}
	if r.Reason != "" {
		line += ": " + cli.Short(r.Reason, 200)
	}
	return line
}
