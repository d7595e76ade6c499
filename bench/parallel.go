package main

import (
	"fmt"

	"pipex/bench/internal/measure"
	"pipex/bench/internal/report"
)

var parallelRow = row{
	name: "parallel", about: "64 steps at -P 8: their time is the rate, and the CPU of them all", rounds: 5,
	contests: func(s *site) ([]contest, error) {
		n := s.size(64, 4)
		ctr := func(name, flags string, limits map[string]float64) peer {
			round := 0
			return peer{measure.Subject{
				Name: name,
				Do: func(*measure.Sample) error {
					round++
					return s.xargs(n, nil, fmt.Sprintf("exec ctr -n pipex run --rm %s %s bench-%d-$1 true", flags, image, round))
				},
			}, limits}
		}
		return []contest{{
			name: "parallel", cpu: true,
			ours: func(b binaries) measure.Subject {
				w := s.open(b)
				return measure.Subject{
					Name: fmt.Sprintf("pipex: four verbs, %d times", n),
					Do: func(*measure.Sample) error {
						return s.xargs(n, []string{b.path(), "PIPEX_WORKDIR=" + w.path}, `
							run=$(pipex-prepare --step "s$1" --image busybox -- true) &&
							pipex-exec "$run" && pipex-commit "$run" && pipex-link "s$1" "$run"`)
					},
					After: w.prune,
				}
			},
			peers: []peer{
				ctr("ctr run --rm", "", map[string]float64{report.Time: 1, report.CPU: 1}),
				ctr("ctr run --rm --seccomp", "--seccomp", nil),
			},
		}}, nil
	},
}

// xargs runs a script n times, eight at once, with a number as its argument.
func (s *site) xargs(n int, env []string, script string) error {
	_, err := s.meter.Run(measure.Command{
		Args: []string{"sh", "-c", `seq "$1" | xargs -P 8 -n 1 sh -c "$2" sh`, "sh", fmt.Sprint(n), script},
		Env:  env,
	})
	return err
}
