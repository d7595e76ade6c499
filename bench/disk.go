package main

import (
	"fmt"
	"os"
	"path/filepath"

	"pipex/bench/internal/measure"
	"pipex/bench/internal/report"
)

// diskRow compares the verbs with shell scripts that leave the same on the disk, and sync
// as much of it, by coreutils.
var diskRow = row{
	name: "disk", about: "prepare without image, commit of one file, link, discard, and coreutils doing the same to the disk", rounds: 60,
	contests: func(s *site) (all []contest, err error) {
		dir, err := s.temporary("coreutils")
		if err != nil {
			return nil, err
		}
		for _, d := range []string{"staging", "runs", "step-runs", "tmp"} {
			if err := os.Mkdir(filepath.Join(dir, d), 0o777); err != nil {
				return nil, err
			}
		}
		for _, v := range []struct {
			verb, script string
			prepared     bool // works on a run that is open
			committed    bool // works on a run that is committed
		}{
			{"prepare", prepareScript, false, false},
			{"commit", commitScript, true, false},
			{"link", linkScript, true, true},
			{"discard", discardScript, true, false},
		} {
			n := 0
			sh := func(script string) error {
				return s.call(dir, "sh", "-e", "-c", script, "sh", fmt.Sprint("run-", n))
			}
			coreutils := measure.Subject{
				Name: "coreutils",
				Before: func() error {
					n++
					script := ":"
					if v.prepared {
						script = prepareScript + "echo >staging/$1/artifacts/f\n"
					}
					if v.committed {
						script += commitScript
					}
					return sh(script)
				},
				Do:    func(*measure.Sample) error { return sh(v.script) },
				After: func() error { return sh("rm -rf staging/* runs/* step-runs/*") },
			}
			all = append(all, contest{
				name: v.verb + " without image", form: report.More, warm: true,
				ours:  func(b binaries) measure.Subject { return s.open(b).plain(v.verb) },
				peers: []peer{{coreutils, limits(4)}},
			})
		}
		return all, nil
	},
}

// plain is a verb on a run without a container.
func (w *workdir) plain(verb string) measure.Subject {
	run := ""
	args := func() []string {
		switch verb {
		case "prepare":
			return nil
		case "link":
			return []string{"bench", run}
		}
		return []string{run}
	}
	return measure.Subject{
		Name: "pipex-" + verb,
		Before: func() (err error) {
			if verb == "prepare" {
				return nil
			}
			if run, err = w.run("prepare"); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(w.artifacts(run), "f"), []byte("\n"), 0o666); err != nil || verb != "link" {
				return err
			}
			_, err = w.run("commit", run)
			return err
		},
		Do: func(*measure.Sample) error {
			_, err := w.run(verb, args()...)
			return err
		},
	}
}

const (
	prepareScript = `
mkdir -p tmp/$1/artifacts
>tmp/$1/stdout.log >tmp/$1/stderr.log
echo '{"runId": "'"$1"'", "cmd": []}' >tmp/$1/meta.json
sync tmp/$1/meta.json
mv -T tmp/$1 staging/$1
`
	commitScript = `
chmod -R a-w staging/$1/artifacts
(cd staging/$1/artifacts && sha256sum *) >staging/$1/artifacts.mtree
echo '{"runId": "'"$1"'", "cmd": [], "status": "success"}' >staging/$1/meta.json.new
sync staging/$1/artifacts/f staging/$1/artifacts staging/$1/artifacts.mtree staging/$1/meta.json.new staging/$1/stdout.log staging/$1/stderr.log
mv -T staging/$1/meta.json.new staging/$1/meta.json
sync staging/$1
mv -T staging/$1 runs/$1
sync runs staging
`
	linkScript = `
ln -s ../runs/$1 tmp/link
mv -T tmp/link step-runs/bench
sync step-runs
echo '{"steps": {"bench": {"runId": "'"$1"'"}}}' >tmp/state
sync tmp/state
mv -T tmp/state state.json
sync .
`
	discardScript = `
mv -T staging/$1 tmp/$1
rm -r tmp/$1
`
)
