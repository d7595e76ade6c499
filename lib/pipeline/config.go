package pipeline

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// configNames are those of a project's configuration: it is one file, under the name that
// @livingdata/pipex first gave it, or the later one.
var configNames = []string{".pipex.yml", ".tylt.yml"}

// config is what a project's configuration says.
type config struct {
	kits   map[string]string // by alias: a file, or an npm package
	detach bool
}

// maxFile bounds a pipeline's file and a configuration, in bytes.
const maxFile = 4 << 20

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = errors.New("it has more than 4 MiB")
	}
	return data, err
}

// readConfig reads the configuration of the project in a directory, which need not have one.
// What is wrong with it are [Errors].
func readConfig(root string) (config, error) {
	file := ""
	for _, name := range configNames {
		path := filepath.Join(root, name)
		_, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if file != "" {
			return config{}, fmt.Errorf("cannot use both %q and %q; remove one of them", file, path)
		}
		file = path
	}
	if file == "" {
		return config{}, nil
	}
	data, err := readFile(file)
	if err != nil {
		return config{}, fmt.Errorf("cannot read %q: %w", file, reason(err))
	}
	document, err := parse(file, data)
	if err != nil {
		return config{}, Errors{err}
	}
	r := &reader{file: file}
	return r.config(document), r.err()
}

func (r *reader) config(document *yaml.Node) (c config) {
	if document == nil || isNull(follow(document)) {
		return c
	}
	o := r.object(follow(document), "configuration", "kits", "detach")
	c.detach, _ = o.flag("detach")
	if n := o.get("kits"); n != nil {
		c.kits = map[string]string{}
		aliases := r.object(n, "kits")
		for alias := range aliases.values {
			c.kits[alias] = aliases.text(alias)
		}
	}
	return c
}
