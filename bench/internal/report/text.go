package report

import (
	"fmt"
	"math"
)

// Line is a figure in a line of plain text.
func (f Figure) Line() string {
	s := fmt.Sprintf("%-28s %-7s %-26s %9s", f.Row, f.Metric, f.Peer, number(f.OursIs))
	if f.Form != Alone {
		s += fmt.Sprintf(" %9s", number(f.PeerIs))
	} else {
		s += fmt.Sprintf(" %9s", "")
	}
	s += " " + f.Unit + "  " + f.value()
	if !math.IsNaN(f.Limit) {
		s += fmt.Sprintf("  target %s: %s", f.target(), f.Reached())
	}
	return s
}

// value is the comparison with its spread.
func (f Figure) value() string {
	return fmt.Sprintf("%s (%s to %s)", f.figure(f.Value), f.figure(f.Low), f.figure(f.High))
}

func (f Figure) target() string {
	if math.IsNaN(f.Limit) {
		return ""
	}
	return f.figure(f.Limit)
}

func (f Figure) figure(v float64) string {
	switch f.Form {
	case Ratio:
		if v < 0.1 {
			return fmt.Sprintf("%.3f×", v)
		}
		return fmt.Sprintf("%.2f×", v)
	case More:
		return fmt.Sprintf("%+.1f %s", v, f.Unit)
	}
	return number(v) + " " + f.Unit
}

// number has three digits or more.
func number(v float64) string {
	switch {
	case math.IsNaN(v):
		return ""
	case math.Abs(v) < 10:
		return fmt.Sprintf("%.2f", v)
	case math.Abs(v) < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}
