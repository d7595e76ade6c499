package workspace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// NetworkFiles returns the files of /etc that name hosts, by their names there,
// as the container of r, called hostname, is to see them: a hosts file, kept in
// .pipex, that knows the container itself and, where it shares the host's network,
// whom the host knows; the host's list of name servers then, too. The caller holds
// the run's lock.
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
		path += "+host" // no host's name has a plus
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
