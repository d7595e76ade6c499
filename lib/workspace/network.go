package workspace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// NetworkFiles returns the files of /etc that name hosts, by their names there,
// as the container of r, called hostname, is to see them: the host's own where it shares
// the host's network, and otherwise a hosts file, kept in .pipex, that knows
// the container itself and nobody else. The caller holds the run's lock.
func (ws *Workspace) NetworkFiles(r Run, hostname string, host bool) (map[string]string, error) {
	if host {
		files := map[string]string{}
		for _, name := range []string{"hosts", "resolv.conf"} {
			if _, err := os.Stat("/etc/" + name); err == nil {
				files[name] = "/etc/" + name
			}
		}
		return files, nil
	}
	path := ws.path(private, "hosts", hostname)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := ws.ensure(private + "/hosts"); err != nil {
			return nil, err
		}
		text := "127.0.0.1\tlocalhost " + hostname + "\n::1\tlocalhost " + hostname + "\n"
		if err := ws.replaceFile(r.ID, path, []byte(text)); err != nil {
			return nil, fmt.Errorf("cannot write the hosts file of %q: %w", hostname, err)
		}
	}
	return map[string]string{"hosts": path}, nil
}
