package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"pipex/bench/internal/measure"
	"pipex/bench/internal/report"
)

var nullRow = row{
	name: "null", about: "make of 300 steps that are up to date, with 10,000 mounted files", rounds: 30,
	contests: func(s *site) ([]contest, error) {
		src := filepath.Join(s.dir, "src")
		if err := os.Mkdir(src, 0o777); err != nil {
			return nil, err
		}
		if err := s.files(src, s.size(10_000, 100)); err != nil {
			return nil, err
		}
		steps := grid(s.size(30, 2), s.size(10, 2), "--image busybox --mount "+src+":/src", "true")
		made := s.project(s.bin, steps)
		if err := made.make("-j4", "-s"); err != nil {
			return nil, err
		}
		bare, err := made.bare(steps)
		if err != nil {
			return nil, err
		}
		c := contest{
			name: "null build", form: report.More, warm: true,
			ours: func(b binaries) measure.Subject {
				p := made
				if b != s.bin {
					p = s.project(b, steps)
				}
				return measure.Subject{
					Name: "make with pipex.mk",
					// The other build makes what it has not made yet.
					Before: func() error { return p.make("-j4", "-s") },
					Do:     func(*measure.Sample) error { return p.make() },
				}
			},
			peers: []peer{{bare, limits(25)}},
		}
		all := []contest{c}
		docker, err := s.engine("docker")
		if err != nil {
			return nil, err
		}
		if upstream := os.Getenv("PIPEX_UPSTREAM"); upstream != "" && docker {
			c.name, c.form = "null build, of upstream's", report.Ratio
			c.peers = []peer{{s.upstream(upstream, src, steps), limits(0.1)}}
			all = append(all, c)
		} else {
			say("@livingdata/pipex is not installed, or $PIPEX_UPSTREAM is not its command, or it has no docker: left out")
		}
		return all, nil
	},
}

// target is a step of a Makefile.
type target struct {
	name, options, input, command string
}

// grid are chains of steps, side by side. A variable makes them differ: of equal steps make
// would run one.
func grid(chains, length int, options, command string) (all []target) {
	for c := range chains {
		for i := range length {
			name := fmt.Sprintf("s%d-%d", c, i)
			t := target{name: name, options: options + " --env STEP=" + name, command: command}
			if i > 0 {
				t.input = fmt.Sprintf("s%d-%d", c, i-1)
			}
			all = append(all, t)
		}
	}
	return all
}

// lines are the steps as a Makefile has them.
func lines(steps []target) string {
	var b strings.Builder
	for _, t := range steps {
		input := ""
		if t.input != "" {
			input = " --input " + t.input
		}
		fmt.Fprintf(&b, "step.%s = %s%s -- %s\n", t.name, t.options, input, t.command)
	}
	return b.String()
}

// project is a directory with a Makefile and a workdir.
type project struct {
	*site
	bin binaries
	dir string
}

// project makes one with these steps. What cannot be made shows in the first make.
func (s *site) project(b binaries, steps []target) *project {
	p := &project{s, b, filepath.Join(s.dir, "none")}
	if dir, err := s.temporary("project"); err == nil {
		p.dir = dir
		os.WriteFile(filepath.Join(dir, "Makefile"), []byte("all:\n"+lines(steps)+"include pipex.mk\nall: $(PIPEX_STEPS)\n"), 0o666)
	}
	return p
}

func (p *project) make(args ...string) error {
	_, err := p.meter.Run(measure.Command{Args: append([]string{"make"}, args...), Dir: p.dir, Env: []string{p.bin.path()}})
	return err
}

// bare is make with the rules and stamps that the project has when all is up to date, but
// without pipex.mk: no one looks at the steps.
func (p *project) bare(steps []target) (measure.Subject, error) {
	keep := filepath.Join(p.dir, "keep")
	if err := os.Mkdir(keep, 0o777); err != nil {
		return measure.Subject{}, err
	}
	// A pipex-pipeline that keeps the rules with which it answers.
	script := fmt.Sprintf("#!/bin/sh\n%s \"$@\" >rules && cat rules\n", p.bin.verb("pipeline"))
	if err := os.WriteFile(filepath.Join(keep, "pipex-pipeline"), []byte(script), 0o777); err != nil {
		return measure.Subject{}, err
	}
	if _, err := p.meter.Run(measure.Command{Args: []string{"make"}, Dir: p.dir, Env: []string{"PATH=" + keep + ":" + os.Getenv("PATH")}}); err != nil {
		return measure.Subject{}, err
	}
	rules, err := os.ReadFile(filepath.Join(p.dir, "rules"))
	if err != nil {
		return measure.Subject{}, err
	}
	text := "all:\n" + lines(steps) + strings.ReplaceAll(string(rules), "␤", "\n")
	for _, t := range steps {
		text += "all: " + t.name + "\n"
	}
	return measure.Subject{
		Name: "bare make",
		Do:   func(*measure.Sample) error { return p.call(p.dir, "make", "-f", "bare.mk") },
	}, os.WriteFile(filepath.Join(p.dir, "bare.mk"), []byte(text), 0o666)
}
