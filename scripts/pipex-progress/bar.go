package main

import (
	"os"
	"unicode/utf8"

	"github.com/schollz/progressbar/v3"

	"pipex/lib/cli"
	"pipex/lib/progress"
)

// drawing draws states in one line of a terminal.
type drawing struct {
	to     *os.File
	name   string
	what   string
	filled bool                     // it is a bar, since it is known how much there is to be done
	bar    *progressbar.ProgressBar // nil before there is something to draw
}

const (
	// full is the length of a bar, whatever it stands for.
	full = 1000
	// barColumns is what a bar needs beside the words, with a percentage and times, and
	// spinColumns what it needs without.
	barColumns, spinColumns = 48, 12
)

func (d *drawing) draw(s progress.State) {
	columns, text := cli.Columns(d.to, 80), cli.Harmless(d.name+": "+s.String())
	done, of := s.Done, s.Of
	if s.OfBytes > 0 {
		done, of = s.Bytes, s.OfBytes
	}
	filled := of > 0 && utf8.RuneCountInString(text)+barColumns <= columns
	if d.bar == nil || d.what != s.What || d.filled != filled {
		d.clear()
		d.what, d.filled = s.What, filled
		d.bar = progressbar.NewOptions64(map[bool]int64{true: full, false: -1}[filled],
			progressbar.OptionSetWriter(d.to),
			progressbar.OptionSetWidth(20),
			progressbar.OptionSpinnerType(14),
			progressbar.OptionSetSpinnerChangeInterval(0), // it is drawn only when there is news
			progressbar.OptionUseANSICodes(true),
			progressbar.OptionSetElapsedTime(columns > 2*spinColumns),
		)
	}
	d.bar.Describe(cli.Short(text, max(columns-spinColumns, 1)))
	if filled {
		// A bar that is full is drawn no more.
		d.bar.Set64(min(int64(full*float64(done)/float64(of)), full-1))
	} else {
		d.bar.Add(1)
	}
}

// clear removes the line.
func (d *drawing) clear() {
	if d.bar != nil {
		d.bar.Clear()
		d.bar = nil
	}
}
