package report

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func figure(value float64) Figure {
	return Figure{
		Row: "step", Ours: "pipex", Peer: "ctr <run>", Metric: Time, Unit: "ms", Form: Ratio,
		OursIs: value * 100, PeerIs: 100, Value: value, Low: value, High: value, Limit: 1, Rounds: 3,
	}
}

func TestCompare(t *testing.T) {
	f := Figure{Metric: Time, Form: Ratio, Limit: 1}.Compare([]float64{1, 2, 9}, []float64{2, 2, 3})
	if f.Value != 1 || f.Low != 0.75 || f.High != 2 || f.OursIs != 2 || f.PeerIs != 2 || f.Rounds != 3 || f.Reached() != "yes" {
		t.Errorf("ratios: %+v", f)
	}
	if f := (Figure{Metric: Time, Form: More, Limit: 1}).Compare([]float64{5, 7}, []float64{2, 2}); f.Value != 4 || f.Reached() != "no" {
		t.Errorf("differences: %+v", f)
	}
	// The clock of CPU time is coarse: means, not medians.
	if f := (Figure{Metric: CPU, Form: Ratio, Limit: math.NaN()}).Compare([]float64{0, 0, 30}, []float64{10, 10, 10}); f.Value != 1 || f.Reached() != "" {
		t.Errorf("CPU: %+v", f)
	}
}

func TestHistory(t *testing.T) {
	here, there := Place{CPU: "a, b", Cores: "2"}, Place{CPU: "other", Cores: "2"}
	alone := Figure{Row: "step", Metric: "background", Unit: "ms", Form: Alone, OursIs: 3, PeerIs: math.NaN(), Value: 3, Low: 3, High: 3, Limit: math.NaN(), Rounds: 3}
	var all []Entry
	all = append(all, Entries([]Figure{figure(1.5), alone}, here, "one")...)
	all = append(all, Entries([]Figure{figure(1)}, here, "two")...)
	all = append(all, Entries([]Figure{figure(0.1)}, there, "two")...)
	all = append(all, Entries([]Figure{figure(1.2)}, here, "three")...)
	all = append(all, Entries([]Figure{figure(1.3)}, here, "three")...) // measured again
	path := filepath.Join(t.TempDir(), "history.csv")
	if err := Write(path, all); err != nil {
		t.Fatal(err)
	}
	read, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(read) != len(all) || !reflect.DeepEqual(read[0], all[0]) || !math.IsNaN(read[1].Limit) {
		t.Errorf("read %+v\nwrote %+v", read, all)
	}
	newest, before := Newest(read, here)
	if len(newest) != 2 || newest[0].Value != 1.3 {
		t.Fatalf("newest: %+v", newest)
	}
	if got := newest[0].Slower(before[newest[0].Key()]); got != "30 % slower than two" {
		t.Errorf("against the commit before: %q", got)
	}
	if got := newest[1].Slower(before[newest[1].Key()]); got != "" {
		t.Errorf("without one before: %q", got)
	}
	table := Table(newest, before, read[len(read)-1], "plot.svg")
	for _, part := range []string{"| step | ctr <run> | time | 130 ms | 100 ms | 1.30× (1.30× to 1.30×) | 1.00× | **no** | 30 % slower than two |", "0 of 1 targets", "at one"} {
		if !strings.Contains(table, part) {
			t.Errorf("no %q in:\n%s", part, table)
		}
	}
}

func TestPlotIsXML(t *testing.T) {
	more := figure(3)
	more.Form = More
	plot := Plot(Entries([]Figure{figure(0.03), figure(40), more}, Place{}, "one"))
	texts := 0
	for d := xml.NewDecoder(strings.NewReader(plot)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := token.(xml.CharData); ok && string(text) == "step / ctr <run>" {
			texts++
		}
	}
	if texts != 3 {
		t.Errorf("%d bars:\n%s", texts, plot)
	}
}
