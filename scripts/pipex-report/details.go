package main

import (
	"cmp"
	"context"
	"io/fs"

	"pipex/lib/cli"
	"pipex/lib/status"
	"pipex/lib/tree"
	"pipex/lib/workspace"
)

// limit says how much of each run a report shows, so that one of many steps stays small.
type limit struct {
	// lines and bytes are those of a log, list the items of each list, text the characters of a
	// text, digest those of a digest.
	lines, bytes, list, text, digest int
}

// limits shares about 2 MiB among the runs, within what one run is good for.
func limits(runs int) limit {
	share := func(total, least, most int) int { return min(max(total/max(runs, 1), least), most) }
	return limit{
		lines: 20, bytes: share(384<<10, 256, 8<<10), list: share(6_000, 5, 100), text: share(1<<20, 300, 4<<10),
		digest: share(20_000, len("sha256:")+12, 80),
	}
}

// failed is the limit for a run that failed: people look at these.
func (l limit) failed() limit {
	l.bytes, l.text = min(8*l.bytes, 8<<10), min(4*l.text, 4<<10)
	return l
}

// details is what a report tells of a run besides its row.
type details struct {
	Since     string   // the run before it
	Why       []string // how it differs
	WhyMore   int
	Artifacts []artifact
	// ArtifactsMore is how many are not in Artifacts, Unlisted says that none are: their list
	// would cost too much.
	ArtifactsMore int
	Unlisted      bool
	Logs          []tail
}

// artifact is a file of the artifacts.
type artifact struct{ Path, Size string }

// of reads them. What cannot be read is left out: a run may be removed meanwhile.
func (rd *reader) of(ctx context.Context, row *status.Row) *details {
	d := new(details)
	if row.Run.Dir == "" {
		return d
	}
	limit := rd.limit
	if class(row) == bad {
		limit = limit.failed()
	}
	since, found := rd.why(row)
	d.Since = since
	d.WhyMore = max(len(found)-limit.list, 0)
	for _, f := range found[:len(found)-d.WhyMore] {
		d.Why = append(d.Why, cli.Short(f.String(), limit.text))
	}
	rd.artifacts(ctx, row, d)
	for _, log := range []string{row.Run.Stdout(), row.Run.Stderr()} {
		if t := readTail(log, limit); t.Text != "" {
			d.Logs = append(d.Logs, t)
		}
	}
	return d
}

// artifacts lists the first of them.
func (rd *reader) artifacts(ctx context.Context, row *status.Row, d *details) {
	t := rd.listed(ctx, row)
	if d.Unlisted = t == nil; d.Unlisted {
		return
	}
	for _, e := range t.Entries {
		if e.Mode.IsDir() {
			continue
		}
		if len(d.Artifacts) == rd.limit.list {
			d.ArtifactsMore++
			continue
		}
		a := artifact{Path: cli.Short(e.Path, 200)}
		switch {
		case e.Mode.IsRegular():
			a.Size = status.Bytes(e.Size)
		case e.Mode&fs.ModeSymlink != 0:
			a.Path, a.Size = cli.Short(cmp.Or(e.Path, "?")+" -> "+e.Link, 200), "link"
		default:
			a.Size = "special"
		}
		d.Artifacts = append(d.Artifacts, a)
	}
}

// listed returns the artifacts: of a committed run as its manifest has them. It is nil if they
// cannot be listed, or not at a small cost.
func (rd *reader) listed(ctx context.Context, row *status.Row) *tree.Tree {
	if row.Meta != nil && row.Meta.Artifacts != nil {
		return rd.tree(row.Run, row.Meta.Artifacts.Digest)
	}
	t, err := tree.List(ctx, row.Run.Artifacts())
	if err != nil && len(t.Entries) == 0 {
		return nil
	}
	return t
}

// command returns the command that the run executed last, or else the one that was prepared.
func command(m *workspace.Meta) []string {
	for i := len(m.Execs) - 1; i >= 0; i-- {
		if !m.Execs[i].Override && !m.Execs[i].Setup {
			return m.Execs[i].Cmd
		}
	}
	return m.Cmd
}
