package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"pipex/bench/internal/measure"
	"pipex/bench/internal/report"
)

// The files of results, in the directory of -keep.
const (
	historyFile = "history.csv"
	tableFile   = "results.md"
	plotFile    = "results.svg"
)

// keepable returns the commit that is measured, or why its results are not kept.
func (s *site) keepable() (commit, why string) {
	switch {
	case s.keep == "":
		return "", "no -keep"
	case s.short:
		return "", "sizes are short"
	case s.rounds > 0:
		return "", "-n changes the number of rounds"
	case s.with != "" || filepath.Base(string(s.bin)) != "bin":
		return "", "-bin or -with names other binaries"
	}
	// The results themselves may differ, from the rows of before.
	changed, err := s.git("status", "--porcelain", "--", ".", ":!"+filepath.Join(s.keep, historyFile), ":!"+filepath.Join(s.keep, "results.*"))
	if err != nil {
		return "", err.Error()
	}
	if changed != "" {
		return "", "the tree has changes that are not committed"
	}
	if commit, err = s.git("rev-parse", "--short=10", "HEAD"); err != nil {
		return "", err.Error()
	}
	return commit, ""
}

func (s *site) git(args ...string) (string, error) {
	r, err := s.meter.Run(measure.Command{Args: append([]string{"git"}, args...)})
	return r.Out, err
}

// record adds figures to the history, and makes table and plot of it.
func (s *site) record(figures []report.Figure, commit string) error {
	place, err := s.place()
	if err != nil {
		return err
	}
	history := filepath.Join(s.keep, historyFile)
	all, err := report.Read(history)
	if err != nil {
		return err
	}
	all = append(all, report.Entries(figures, place, commit)...)
	if len(all) == 0 {
		return nil
	}
	if err := report.Write(history, all); err != nil {
		return err
	}
	newest, before := report.Newest(all, place)
	return errors.Join(
		os.WriteFile(filepath.Join(s.keep, tableFile), []byte(report.Table(newest, before, all[len(all)-1], plotFile)), 0o666),
		os.WriteFile(filepath.Join(s.keep, plotFile), []byte(report.Plot(newest)), 0o666),
	)
}

// place says what this machine is, without naming it.
func (s *site) place() (p report.Place, err error) {
	p.Cores, p.Go = fmt.Sprint(runtime.NumCPU()), strings.TrimPrefix(runtime.Version(), "go")
	p.CPU = field("/proc/cpuinfo", "model name")
	var kib int64
	fmt.Sscan(field("/proc/meminfo", "MemTotal"), &kib)
	p.Memory = fmt.Sprintf("%d GiB", (kib+1<<19)>>20)
	for _, q := range []struct {
		into *string
		args string
		word int
	}{
		{&p.Kernel, "uname -r", 0},
		{&p.Filesystem, "df --output=fstype " + os.TempDir(), 1}, // below a heading
		{&p.Containerd, "containerd --version", 2},
		{&p.Runc, "runc --version", 2},
	} {
		r, err := s.meter.Run(measure.Command{Args: strings.Fields(q.args)})
		if err != nil {
			return p, err
		}
		words := strings.Fields(r.Out)
		if len(words) <= q.word {
			return p, fmt.Errorf("%q prints no version: %q", q.args, r.Out)
		}
		*q.into = words[q.word]
	}
	return p, nil
}

// field returns the value of the first line with a name in a file such as /proc/cpuinfo.
func field(path, name string) string {
	data, _ := os.ReadFile(path)
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
