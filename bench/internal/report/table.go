package report

import (
	"fmt"
	"strings"
)

// Table is the newest entries as a page of Markdown; last is the one measured last.
func Table(newest []Entry, before map[string]Entry, last Entry, plot string) string {
	var b strings.Builder
	p := last.Place
	fmt.Fprintf(&b, "# Results\n\nMade by `make bench`; [README](README.md) says how to read it. Commit %s of %s.\n\n", last.Commit, last.Date)
	fmt.Fprintf(&b, "Measured on %s, %s cores, %s of memory, %s, Linux %s; Go %s, containerd %s, runc %s.\n\n",
		p.CPU, p.Cores, p.Memory, p.Filesystem, p.Kernel, p.Go, p.Containerd, p.Runc)
	reached, targets := 0, 0
	for _, e := range newest {
		switch e.Reached() {
		case "yes":
			reached, targets = reached+1, targets+1
		case "no":
			targets++
		}
	}
	fmt.Fprintf(&b, "%d of %d targets are reached.\n\n![ratios and their targets](%s)\n\n", reached, targets, plot)
	b.WriteString("| row | against | | pipex | peer | comparison (quartiles) | target | reached | |\n|---|---|---|--:|--:|--:|--:|---|---|\n")
	for _, e := range newest {
		note := e.Slower(before[e.Key()])
		if e.Commit != last.Commit {
			note = strings.TrimSpace("at " + e.Commit + " " + note)
		}
		peer := ""
		if e.Form != Alone {
			peer = number(e.PeerIs) + " " + e.Unit
		}
		reached := e.Reached()
		if reached == "no" {
			reached = "**no**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s %s | %s | %s | %s | %s | %s |\n",
			e.Row, e.Peer, e.Metric, number(e.OursIs), e.Unit, peer, e.value(), e.target(), reached, note)
	}
	return b.String()
}
