package workspace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// NetworkFiles returns the files that the container of r sees in /etc, by their names
// there. hosts is a file in .pipex/hosts with an entry for hostname. If host is true,
// the container has the host's network: then hosts also has the entries of the host's
// /etc/hosts, and resolv.conf is the host's. The caller holds the run's lock.
func (ws *Workspace) NetworkFiles(r Run, hostname string, host bool) (map[string]string, error) {
	path := ws.path(private, "hosts", hostname)
	files := map[string]string{"hosts": path}
	text := "127.0.0.1\tlocalhost " + hostname + "\n::1\tlocalhost " + hostname + "\n"
	if host {
		known, err := os.ReadFile("/etc/hosts")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		text = strings.TrimSuffix(string(known), "\n") + "\n127.0.0.1\t" + hostname + "\n"
		path += "+host" // no host name contains a plus
		files["hosts"] = path
		if _, err := os.Stat("/etc/resolv.conf"); err == nil {
			files["resolv.conf"] = "/etc/resolv.conf"
		}
	}
	if written, err := os.ReadFile(path); err != nil || string(written) != text {
		if err := ws.ensure(private + "/hosts"); err != nil {
			return nil, err
		}
		if err := ws.replaceFile(r.ID, path, []byte(text)); err != nil {
			return nil, fmt.Errorf("cannot write the hosts file of %q: %w", hostname, err)
		}
	}
	return files, nil
}
