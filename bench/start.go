package main

import (
	"os"
	"path/filepath"

	"pipex/bench/internal/measure"
	"pipex/bench/internal/report"
)

var startRow = row{
	name: "start", about: "start of each verb (--version) and of a bare Go program", rounds: 100,
	contests: func(s *site) (all []contest, err error) {
		bare, err := s.bare()
		if err != nil {
			return nil, err
		}
		for _, v := range []struct {
			verb  string
			limit float64
		}{{"link", 2}, {"commit", 2}, {"discard", 2}, {"prune", none}, {"exec", 4}, {"prepare", 5}} {
			all = append(all, contest{
				name: "start of " + v.verb, form: report.More, warm: true, cpu: true,
				ours: func(b binaries) measure.Subject {
					return measure.Subject{
						Name: "pipex-" + v.verb + " --version",
						Do:   func(*measure.Sample) error { return s.call("", b.verb(v.verb), "--version") },
					}
				},
				peers: []peer{{measure.Subject{
					Name: "a bare Go program",
					Do:   func(*measure.Sample) error { return s.call("", bare) },
				}, limits(v.limit)}},
			})
		}
		return all, nil
	},
}

// bare builds a Go program that prints a line, as the verbs are built.
func (s *site) bare() (string, error) {
	const source = "package main\n\nimport \"os\"\n\nfunc main() { os.Stdout.WriteString(\"0.0.0\\n\") }\n"
	file, program := filepath.Join(s.dir, "bare.go"), filepath.Join(s.dir, "bare")
	if err := os.WriteFile(file, []byte(source), 0o666); err != nil {
		return "", err
	}
	if err := s.call(s.dir, "env", "CGO_ENABLED=0", "go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, file); err != nil {
		return "", err
	}
	return program, rewrite(program)
}
