package cli

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"pipex/lib/cli/traced"
	"pipex/lib/internal/endpoint"
	"pipex/lib/name"
	"pipex/lib/run"
	"pipex/lib/workspace"
)

// Place returns the place from the options, else from the environment, else as it is
// found from the current directory. It is found once, so that a place that another
// process makes meanwhile does not change it.
func (c *Call) Place() run.Place {
	p := run.Place{
		Workdir:   c.pick("workdir", "PIPEX_WORKDIR"),
		Workspace: c.pick("workspace", "PIPEX_WORKSPACE"),
		Containerd: endpoint.Containerd{
			Namespace:   c.pick("namespace", "PIPEX_NAMESPACE"),
			Snapshotter: os.Getenv("CONTAINERD_SNAPSHOTTER"), // as for ctr and nerdctl
			Patience:    c.Duration("rpc-timeout"),
		},
		// As for cnitool.
		CNI:  endpoint.CNI{Plugins: filepath.SplitList(os.Getenv("CNI_PATH")), Networks: os.Getenv("NETCONFPATH")},
		Warn: c.Warn,
	}
	if c.found == nil {
		c.found = find(p.Workdir, p.Workspace)
	}
	p.Workdir = c.found.workdir
	if p.Workspace == "" {
		p.Workspace, p.Unnamed = c.found.workspace, c.found.unnamed
	}
	p.Address, p.Start = c.containerd()
	p = p.WithDefaults()
	traced.Name("", "pipex.workspace", p.Workspace)
	return p
}

// pick returns the value of an option, else that of an environment variable.
func (c *Call) pick(flag, env string) string {
	if v := c.String(flag); v != "" {
		return v
	}
	return os.Getenv(env)
}

// found is what was found from the current directory.
type found struct {
	workdir, workspace string
	// unnamed says why no workspace is meant.
	unnamed error
	// private is the directory of the private containerd to use; empty if there is none.
	private string
}

func find(workdir, workspace string) *found {
	f := &found{workdir: workdir, workspace: workspace}
	if f.workdir == "" {
		f.workdir = findWorkdir()
	}
	if f.workspace == "" {
		f.workspace, f.unnamed = findWorkspace(f.workdir)
	}
	f.private = findContainerd(f.workdir)
	return f
}

// findWorkdir returns the nearest directory "workdir" that has a workspace, in the
// current directory or above, as git finds .git; or else the default. As for git, one
// above that belongs to another user is not ours: anybody may have made it in /tmp.
func findWorkdir() string {
	for i, dir := range above(".") {
		path := filepath.Join(dir, run.DefaultWorkdir)
		if workspaces, _ := workspace.List(path); len(workspaces) == 0 {
			continue
		}
		if i == 0 {
			break
		}
		if trusted(path, false) {
			return path
		}
	}
	return run.DefaultWorkdir
}

// above returns a directory and all above it; nothing if it cannot be told where it is.
func above(dir string) (dirs []string) {
	dir, err := filepath.Abs(dir)
	for err == nil {
		dirs = append(dirs, dir)
		if dir == "/" {
			break
		}
		dir = filepath.Dir(dir)
	}
	return dirs
}

// findWorkspace returns the only workspace of a workdir, or else the default one. If
// there are others only, it is an error that names them.
func findWorkspace(workdir string) (string, error) {
	if workspace.Exists(workdir, run.DefaultWorkspace) {
		return run.DefaultWorkspace, nil // with others or alone
	}
	all, err := workspace.List(workdir)
	switch {
	case err == nil && len(all) == 1:
		return all[0], nil
	case err != nil || len(all) == 0:
		return run.DefaultWorkspace, nil
	}
	const most = 8
	if more := len(all) - most; more > 0 {
		all = append(all[:most], "and "+strconv.Itoa(more)+" more")
	}
	return "", name.Usage("%q has several workspaces: %s; name one with --workspace", workdir, strings.Join(all, ", "))
}
