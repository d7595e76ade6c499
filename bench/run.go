package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"pipex/bench/internal/measure"
	"pipex/bench/internal/report"
)

type options struct {
	short     bool
	rounds    int
	bin, with string
	keep      string
}

// run measures the rows that are named and prints their table.
func run(ctx context.Context, o options, names []string) (err error) {
	measured, err := chosen(names)
	if err != nil {
		return err
	}
	if len(names) == 0 && !o.short {
		say("all rows take about 25 minutes; choose some: make bench B='step exec'")
	}
	for _, dir := range []*string{&o.bin, &o.with} { // as commands run in other directories
		if *dir == "" {
			continue
		}
		if *dir, err = filepath.Abs(*dir); err != nil {
			return err
		}
		if _, err := os.Stat(filepath.Join(*dir, "pipex-prepare")); err != nil {
			return fmt.Errorf("no verbs in %q: %w", *dir, err)
		}
	}
	meter, err := measure.New(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "pipex-bench-")
	if err != nil {
		return err
	}
	for i, from := range []*string{&o.bin, &o.with} {
		if *from == "" {
			continue
		}
		if *from, err = alike(*from, filepath.Join(dir, fmt.Sprint(i))); err != nil {
			return errors.Join(err, os.RemoveAll(dir))
		}
	}
	s := &site{options: o, ctx: ctx, meter: meter, bin: binaries(o.bin), said: map[string]bool{}, usable: map[string]bool{}}
	home := filepath.Join(dir, "containerd")
	defer func() {
		s.meter = meter.Heedless()
		s.meter.End() // an interrupted command's reaper needs containerd
		err = errors.Join(err, s.forget(), s.call("", "pipex-containerd", "stop", "--purge", home), os.RemoveAll(dir))
	}()
	if err := s.environment(filepath.Join(dir, "peers")); err != nil {
		return err
	}
	if err := s.start(home); err != nil {
		return err
	}
	commit, why := s.keepable()
	var figures []report.Figure
	var failed error // the rows after one that fails are measured all the same
	for _, r := range measured {
		f, err := s.measure(dir, r)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			say("%s failed: %v", r.name, err)
			failed = errors.Join(failed, fmt.Errorf("row %q failed: %w", r.name, err))
			continue
		}
		figures = append(figures, f...)
		for _, line := range f {
			fmt.Println(line.Line())
		}
	}
	if why != "" {
		say("the results are not kept: %s", why)
		return failed
	}
	return errors.Join(failed, s.record(figures, commit))
}

// measure runs all contests of a row. What they have made stays until the end, since a row that
// removes much makes the next one slow; see many.
func (s *site) measure(dir string, r row) (figures []report.Figure, err error) {
	say("%s: %s", r.name, r.about)
	s.dir = filepath.Join(dir, r.name)
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		return nil, err
	}
	contests, err := r.contests(s)
	if err != nil {
		return nil, err
	}
	for _, c := range contests {
		f, err := s.compete(r, c)
		if err != nil {
			return nil, err
		}
		figures = append(figures, f...)
	}
	return figures, nil
}
