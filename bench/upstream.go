package main

import (
	"encoding/json"
	"os"
	"path/filepath"

	"pipex/bench/internal/measure"
)

// upstream is a null build of @livingdata/pipex with the same steps. Its first run, which
// makes them, needs docker.
func (s *site) upstream(command, src string, steps []target) measure.Subject {
	type object map[string]any
	var list []object
	for _, t := range steps {
		step := object{
			"id": t.name, "image": engineImage, "cmd": []string{"sh", "-c", t.command},
			"mounts": []object{{"host": filepath.Base(src), "container": "/src"}},
		}
		if t.input != "" {
			step["inputs"] = []object{{"step": t.input}}
		}
		list = append(list, step)
	}
	file := filepath.Join(s.dir, "pipeline.json")
	run := func() error {
		return s.call(s.dir, "sh", "-c", command+` run pipeline.json --workdir upstream`)
	}
	made := false
	return measure.Subject{
		Name: "@livingdata/pipex",
		Before: func() error {
			if made {
				return nil
			}
			made = true
			data, err := json.Marshal(object{"id": "bench", "steps": list})
			if err != nil {
				return err
			}
			if err := os.WriteFile(file, data, 0o666); err != nil {
				return err
			}
			return run()
		},
		Do: func(*measure.Sample) error { return run() },
	}
}
