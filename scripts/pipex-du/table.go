package main

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"

	"pipex/lib/cli"
	"pipex/lib/status"
)

// table prints what was measured as a table; of the parts also the total.
func (m *measured) table(to io.Writer, steps bool) error {
	t := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	line := func(workspace, format string, cells ...any) {
		if m.named {
			fmt.Fprint(t, workspace, "\t")
		}
		fmt.Fprintf(t, format+"\n", cells...)
	}
	if steps {
		line("WORKSPACE", "STEP\tRUNS\tSIZE\tNEWEST\tPRUNE")
		for _, r := range m.stepRows() {
			line(r.Workspace, "%s\t%d\t%s\t%s\t%s", cmp.Or(cli.Short(r.Step, 40), "-"), r.Runs, status.Bytes(r.Bytes), status.Bytes(r.Newest), status.Bytes(r.Prune))
		}
		return t.Flush()
	}
	line("WORKSPACE", "WHAT\tCOUNT\tSIZE\tPRUNE")
	var bytes, prune int64
	for _, r := range m.rows() {
		count := fmt.Sprint(r.Count)
		if r.What == "other" {
			count = "-"
		}
		line(cmp.Or(r.Workspace, "-"), "%s\t%s\t%s\t%s", r.label, count, status.Bytes(r.Bytes), status.Bytes(r.Prune))
		bytes, prune = bytes+r.Bytes, prune+r.Prune
	}
	line("-", "total\t\t%s\t%s", status.Bytes(bytes), status.Bytes(prune))
	return t.Flush()
}
